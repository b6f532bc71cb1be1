"""Transfers that `traceana bench` or nccl-tests measured, by operation and size.

Between two measured sizes a time is interpolated on logarithms of both; beyond them nothing is said.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path

import msgspec

from traceana import units
from traceana.analyze.beside_bench import IN_PLACE
from traceana.errors import TraceanaError
from traceana.report.bench import BenchRow
from traceana.saved.bench import read_bench

Bounds = tuple[float, float, float]
"""A time in ns, and the least and the most that it may be."""


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """One backend's figures from one file: by operation its sizes in bytes, ascending, and their times."""

    path: Path
    backend: str
    ranks: int
    times: dict[str, tuple[tuple[int, Bounds], ...]]

    def at(self, op: str, message_bytes: int | None, group_size: int | None) -> Bounds | str:
        """The time of a call, or why it is not known."""
        measured = self.times.get(op)
        if not measured:
            return f"{self.backend}'s {op} was not measured"
        if message_bytes is None:
            return "its size is not known"
        if group_size != self.ranks:
            return f"measured over {units.plural(self.ranks, 'rank')}, and its group has {group_size or 'unknown ones'}"
        sizes = [size for size, _ in measured]
        if not sizes[0] <= message_bytes <= sizes[-1]:
            return f"measured from {units.size(sizes[0])} to {units.size(sizes[-1])} only"
        return _between(measured, bisect_left(sizes, message_bytes), message_bytes)


def _between(measured: tuple[tuple[int, Bounds], ...], above: int, size: int) -> Bounds:
    upper, ns = measured[above]
    if upper == size:
        return ns
    lower, before = measured[above - 1]
    share = math.log(size / lower) / math.log(upper / lower)
    middle, least, most = (
        math.exp((1 - share) * math.log(a) + share * math.log(b)) for a, b in zip(before, ns, strict=True)
    )
    return middle, least, most


def read_figures(text: str) -> Figures:
    """From FILE or FILE:BACKEND, which is needed where the file has several. Raises TraceanaError."""
    path, backend = (Path(text), None) if Path(text).is_file() else _with_backend(text)
    bench = read_bench(path)
    names = list(dict.fromkeys(row.backend for row in bench.rows))
    if not names:
        raise TraceanaError(f"--backend-from {path}: holds no figures")
    if backend is None and len(names) > 1:
        raise TraceanaError(f"--backend-from {path}: write {path}:BACKEND for one of {', '.join(names)}")
    if backend is not None and backend not in names:
        raise TraceanaError(f"--backend-from {path}: has no backend {backend}; it has {', '.join(names)}")
    chosen = backend or names[0]
    return Figures(path=path, backend=chosen, ranks=bench.ranks, times=_times(bench.rows, chosen))


def _with_backend(text: str) -> tuple[Path, str | None]:
    """FILE:BACKEND parted where FILE is one; both may have colons in them, as `pynccl:ring/ll` has."""
    cuts = [index for index, letter in enumerate(text) if letter == ":"]
    cut = next((index for index in reversed(cuts) if Path(text[:index]).is_file()), None)
    return (Path(text), None) if cut is None else (Path(text[:cut]), text[cut + 1 :])


def _times(rows: Sequence[BenchRow], backend: str) -> dict[str, tuple[tuple[int, Bounds], ...]]:
    """Of eager calls where they were measured, else of those in a graph: the bench times the GPU in both.

    Of calls in place and out of place those count that torch.distributed makes.
    """
    found: dict[str, dict[int, Bounds]] = {}
    for row in sorted(rows, key=lambda one: (not one.graph, one.in_place == (one.op in IN_PLACE))):
        if row.backend == backend and row.p50_ns > 0 and row.message_bytes > 0:
            blocks = (row.p50_ns, *(ns for ns in row.blocks_ns if ns > 0))
            found.setdefault(row.op, {})[row.message_bytes] = (row.p50_ns, min(blocks), max(blocks))
    return {op: tuple(sorted(by_size.items())) for op, by_size in found.items()}
