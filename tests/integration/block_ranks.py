"""Two ranks on gloo that record blocks of their own, into folders of the one that is given; sizes tell calls apart."""

import contextlib
import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing

import traceana
from tests.integration.gloo_tensor import lasting
from tests.integration.two_ranks import run_both
from traceana.errors import TraceanaError


def all_reduce(elements: int) -> None:
    tensor = lasting(torch.ones(elements))
    dist.all_reduce(tensor)
    assert tensor[0] == 2


def blocks(root: Path) -> None:
    all_reduce(90)
    with traceana.capture(root / "first"):
        all_reduce(10)
        with traceana.capture(root / "inner"):
            dist.broadcast(lasting(torch.zeros(4)), 0)
    all_reduce(91)
    with contextlib.suppress(KeyError), traceana.capture(root / "second"):
        all_reduce(20)
        raise KeyError
    dist.barrier()
    try:
        with traceana.capture(root / "second"):
            raise AssertionError
    except TraceanaError as error:
        print(error)


def beside_the_programs_own_profiler(root: Path) -> None:
    profiler = torch.autograd.profiler.profile
    with traceana.capture(root / "given"):
        all_reduce(30)
        with profiler() as within:
            all_reduce(31)
    with profiler() as around, traceana.capture(root / "given", force=True):
        all_reduce(32)
    for own in (within, around):
        print(sum(event.name == "gloo:all_reduce" for event in own.function_events))


def work(rank: int, root: Path, port: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    blocks(root)
    beside_the_programs_own_profiler(root)
    dist.barrier()
    dist.destroy_process_group()
    sys.stdout.flush()
    if rank == 0:
        with traceana.capture(root / "alone", shapes=True):
            torch.ones(8, 8) @ torch.ones(8, 8)
    else:
        with traceana.capture(root / "cut"):
            os._exit(0)
    os._exit(0)


if __name__ == "__main__":
    sys.exit(run_both(work, Path(sys.argv[1]), sys.argv[2]))
