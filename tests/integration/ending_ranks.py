"""Two ranks that come to their end in the way that argv[1] names, once both have recorded some collectives."""

import os
import signal
import subprocess
import sys
import time
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing

from tests.integration.gloo_tensor import lasting

COLLECTIVES = 4


def work(way: str, rank: int, port: str, ready: Any, told: Any) -> None:
    if way == "launcher-killed":
        # As torchrun's ranks: no longer in the command's process group or session.
        os.setsid()
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    tensor = lasting(torch.ones(64))
    for _ in range(COLLECTIVES):
        dist.all_reduce(tensor)
    ready.release()
    if rank == 1:
        end_rank(way)
    if way == "told":
        told.wait()
    while way not in ("return", "told"):
        dist.all_reduce(tensor)
    dist.destroy_process_group()


def end_rank(way: str) -> None:
    if way == "exception":
        raise RuntimeError("asked to fail")
    if way == "sys.exit":
        sys.exit(7)
    if way == "os._exit":
        os._exit(7)
    if way == "hang":
        time.sleep(3600)
    if way in ("SIGKILL", "SIGTERM"):
        os.kill(os.getpid(), signal.Signals[way])


def end_ranks(way: str, processes: list[Any]) -> None:
    if way == "all-killed":
        # As the kernel does when memory runs out: nothing in the job sees it come.
        subprocess.run(["kill", "-KILL", *(str(process.pid) for process in processes)], check=True)
    elif way == "kill":
        for process in processes:
            process.kill()
    elif way == "launcher-killed":
        os.kill(os.getppid(), signal.SIGKILL)
    elif way == "sglang":
        for process in processes:
            process.join(0.1)
            process.terminate()
            process.join(1)
            process.kill()
    elif way == "vllm":
        for process in processes:
            process.terminate()
        limit = time.monotonic() + 4
        for process in processes:
            process.join(max(0.0, limit - time.monotonic()))
            process.kill()
    elif way in ("wait", "hang", "told"):
        print("working", flush=True)


if __name__ == "__main__":
    way, port = sys.argv[1:]
    context = torch.multiprocessing.get_context("fork")
    ready, told = context.Semaphore(0), context.Event()
    processes = [context.Process(target=work, args=(way, rank, port, ready, told), daemon=True) for rank in range(2)]
    for process in processes:
        process.start()
    for _ in processes:
        ready.acquire()
    end_ranks(way, processes)
    if way == "told":
        sys.stdin.readline()
        told.set()
    for process in processes:
        process.join()
    sys.exit(max(abs(process.exitcode or 0) for process in processes))
