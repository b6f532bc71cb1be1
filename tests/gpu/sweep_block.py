"""A job for `traceana sweep` and `tune`: denoising-like steps on two GPUs, which print how long one takes.

A step is, a layer, a matrix product, an all-to-all and an all-reduce of --mib each. --carrier direct calls NCCL itself,
as PyNccl does; --graphs replays a captured step. What a step computes from a fixed seed goes into --out for comparison.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

WORLD = 2
Step = Callable[[], object]


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--carrier", choices=("torch", "direct"), default="torch")
    parser.add_argument("--graphs", action="store_true")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--mib", type=int, default=16)
    parser.add_argument("--out", default="")
    parser.add_argument("--port", default="29735")
    return parser.parse_args()


def main() -> None:
    asked = options()
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=asked.port, WORLD_SIZE=str(WORLD))
    # Both ranks begin at once, before the imports that take most of the time.
    other = None
    if "RANK" not in os.environ:
        other = subprocess.Popen([sys.executable, *sys.argv], env={**os.environ, "RANK": "1", "LOCAL_RANK": "1"})
        os.environ.update(RANK="0", LOCAL_RANK="0")
    run(asked, int(os.environ["RANK"]))
    code = other.wait() if other else 0
    sys.stdout.flush()
    # Not through the end of the process group, which waits for graphs that hold its communicator.
    os._exit(code)


def run(asked: argparse.Namespace, rank: int) -> None:
    import torch
    import torch.distributed as dist

    cuda = asked.device == "cuda"
    device = torch.device("cuda", rank) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)
    else:
        torch.set_num_threads(1)
    dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo", device_id=device if cuda else None)
    elements = asked.mib << 19
    generator = torch.Generator(device="cpu").manual_seed(7 + rank)
    source = torch.randn(elements, generator=generator).to(device, torch.bfloat16 if cuda else torch.float32)
    wide = 2048 if cuda else 256
    matrix, weight = (torch.randn(wide, wide, generator=generator).to(source) for _ in range(2))
    target, summed = torch.empty_like(source), source.clone()
    exchange, add = carriers(asked.carrier, source, target, summed, rank)

    def step() -> None:
        for _ in range(asked.layers):
            matrix @ weight
            exchange()
            summed.copy_(target)
            add()

    play = graphed(step) if asked.graphs else step
    for _ in range(5):
        play()
    times = [timed(play, cuda, number) for number in range(asked.steps)]
    if rank == 0:
        print(f"a step took {statistics.median(times):.4f} ms", flush=True)
        if asked.out:
            import numpy as np

            np.save(Path(asked.out) / "sums.npy", summed.float().cpu().numpy())
    dist.barrier()


def carriers(carrier: str, source: Any, target: Any, summed: Any, rank: int) -> tuple[Step, Step]:
    import torch.distributed as dist

    if carrier == "torch":
        return lambda: dist.all_to_all_single(target, source), lambda: dist.all_reduce(summed)
    from traceana.bench.backends.nccl import Libnccl

    # The communicator learns its id by an exchange on the host.
    nccl: Any = Libnccl(cast(Any, SimpleNamespace(rank=rank, size=WORLD, on_gpu=True)))
    moved = SimpleNamespace(op="all_to_all", source=source, target=target, sent=(), received=())
    added = SimpleNamespace(op="all_reduce", source=summed, target=summed)
    return nccl.call(moved).run, nccl.call(added).run


def graphed(step: Step) -> Step:
    import torch

    stream: Any = cast(Any, torch.cuda).Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return cast(Step, graph.replay)


def timed(play: Step, cuda: bool, number: int) -> float:
    """Milliseconds."""
    import torch

    if cuda:
        torch.cuda.synchronize()
    began = time.perf_counter()
    with torch.profiler.record_function(f"step {number}"):
        play()
        if cuda:
            torch.cuda.synchronize()
    return 1000 * (time.perf_counter() - began)


if __name__ == "__main__":
    main()
