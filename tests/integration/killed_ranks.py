"""Two ranks that work until their parent ends them, in the way that argv[1] names."""

import os
import signal
import sys
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing


def work(rank: int, port: str, ready: Any) -> None:
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    while True:
        dist.all_reduce(torch.ones(64))
        ready.release()


def terminate(processes: list[Any]) -> None:
    """As sglang and vLLM shut down: join is not enough, SIGTERM, and SIGKILL after a grace."""
    for process in processes:
        process.terminate()
        process.join(10)
        process.kill()


def end(way: str, processes: list[Any]) -> None:
    if way == "terminate":
        terminate(processes)
    elif way == "term-one":
        os.kill(processes[1].pid, signal.SIGTERM)
    elif way == "kill-all":
        for process in processes:
            process.kill()
    elif way == "kill-launcher":
        os.kill(os.getppid(), signal.SIGKILL)


if __name__ == "__main__":
    context = torch.multiprocessing.get_context("fork")
    ready = context.Semaphore(0)
    processes = [context.Process(target=work, args=(rank, sys.argv[2], ready)) for rank in range(2)]
    for process in processes:
        process.start()
    for _ in range(4):
        ready.acquire()
    end(sys.argv[1], processes)
    for process in processes:
        process.join()
    sys.exit(3)
