"""Ranks that compute and exchange, one of which has something more to do on its GPU in each step.

Usage: torchrun … late_rank.py FOLDER [LATE [MS]]; rank LATE spins for so long, and leaves in FOLDER/spin.json how long,
in ns, its spins took in each step by CUDA's own events. Without a GPU its host does, as the program counts it.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.profiler import record_function

STEPS = 12
CYCLES_A_MS = 1_500_000
"""Of a GPU at about 1.5 GHz; how long it took is measured."""
# torch gives it no types.
_event: Any = torch.cuda.Event


class Spin:
    """Rank LATE's, timed."""

    def __init__(self, ms: float, on_gpu: bool) -> None:
        self._ms, self._on_gpu = ms, on_gpu
        self._taken: list[Any] = []

    def __call__(self) -> None:
        """Spin once."""
        if self._on_gpu:
            begin, end = _event(enable_timing=True), _event(enable_timing=True)
            begin.record()
            torch.cuda._sleep(int(self._ms * CYCLES_A_MS))  # type: ignore[no-untyped-call]
            end.record()
            self._taken.append((begin, end))
        else:
            began = time.perf_counter_ns()
            while time.perf_counter_ns() - began < self._ms * 1e6:
                pass
            self._taken.append(time.perf_counter_ns() - began)

    def taken_ns(self) -> list[int]:
        """How long each took."""
        if self._on_gpu:
            return [round(begin.elapsed_time(end) * 1e6) for begin, end in self._taken]
        return self._taken


def step(number: int, spin: Spin | None, sent: torch.Tensor, matrix: torch.Tensor) -> None:
    """Compute, an exchange, compute, a sum: the spin is before the exchange."""
    with record_function(f"denoising_step {number}"):
        product = matrix @ matrix
        if spin is not None:
            spin()
        received = torch.empty_like(sent)
        dist.all_to_all_single(received, sent)
        product = product @ matrix
        dist.all_reduce(received)
        if product.is_cuda:
            torch.cuda.synchronize()


def main(folder: Path, late: int = 3, ms: float = 4.0) -> None:
    """Run all steps, and tell what the spins took."""
    rank, local = int(os.environ["RANK"]), int(os.environ["LOCAL_RANK"])
    on_gpu = torch.cuda.is_available()
    device = torch.device("cuda", local) if on_gpu else torch.device("cpu")
    if on_gpu:
        torch.cuda.set_device(device)
    else:
        torch.set_num_threads(1)
    dist.init_process_group("nccl" if on_gpu else "gloo", device_id=device if on_gpu else None)
    sent = torch.ones((1 << 20) if on_gpu else (1 << 12), device=device)
    matrix = torch.randn(2048 if on_gpu else 128, 2048 if on_gpu else 128, device=device)
    spin = Spin(ms, on_gpu) if rank == late else None
    with torch.no_grad():
        for number in range(STEPS):
            step(number, spin, sent, matrix)
    if spin is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "spin.json").write_text(json.dumps(spin.taken_ns()))
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:3]), *map(float, sys.argv[3:4]))
