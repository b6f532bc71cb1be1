"""Compute that runs beside the calls."""

import math
from functools import partial

import torch
from msgspec.structs import replace

from traceana.bench.timing import Timer, new_events, new_stream
from traceana.bench.world import World
from traceana.report.bench import BenchRow

_MATRIX = 4096
_ROUNDS = 5


def under_compute(row: BenchRow, timer: Timer, world: World) -> BenchRow:
    """The row with the times of its calls beside a matrix product on another stream, and the product's slow-down."""
    matrix = torch.ones(_MATRIX, _MATRIX, dtype=torch.bfloat16, device=world.device)
    product = _Product(matrix)
    product.run(1)
    torch.cuda.synchronize(world.device)
    rounds = math.ceil(row.p50_ns * len(timer.calls) / max(product.run_alone(1), 1)) + 1
    alone = sorted(product.run_alone(rounds) for _ in range(_ROUNDS))[_ROUNDS // 2]
    calls, products = [], []
    for _ in range(_ROUNDS):
        calls.append(timer.beside(partial(product.run, rounds)))
        products.append(product.ns())
    return replace(
        row,
        under_compute_p50_ns=sorted(calls)[_ROUNDS // 2],
        compute_slowdown=sorted(products)[_ROUNDS // 2] / max(alone, 1),
    )


class _Product:
    """Matrix products on a stream of their own, which begin when the current stream reaches the place of `run`."""

    def __init__(self, matrix: torch.Tensor) -> None:
        self._matrix, self._stream = matrix, new_stream()
        self._begin, self._end = new_events(2)

    def run(self, rounds: int) -> None:
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            self._begin.record()
            for _ in range(rounds):
                torch.mm(self._matrix, self._matrix)
            self._end.record()

    def ns(self) -> float:
        """How long the last `run` took; the device must have been waited for."""
        return float(self._begin.elapsed_time(self._end)) * 1e6

    def run_alone(self, rounds: int) -> float:
        self.run(rounds)
        torch.cuda.synchronize(self._matrix.device)
        return self.ns()
