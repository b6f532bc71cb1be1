"""Benches for the tests of what reads them: all rows of one backend, 10 % slower with each further backend."""

from collections.abc import Sequence
from typing import Any

from traceana.report.bench import BenchReport, BenchRow

MIB = 1 << 20
NS = {("all_to_all", 12 * MIB): 1_500_000, ("all_to_all", 4 * MIB): 600_000, ("all_reduce", 4 * MIB): 900_000}
"""Times of the fastest backend by operation and size, in the order of tests.reports.CALLS."""


def row(
    op: str, size: int, ns: int, backend: str = "torch", *, dtype: str = "bfloat16", graph: bool = False
) -> BenchRow:
    return BenchRow(
        op=op,
        message_bytes=size,
        dtype=dtype,
        backend=backend,
        graph=graph,
        in_place=op == "all_reduce",
        calls=350,
        p50_ns=ns,
        p95_ns=round(1.1 * ns),
        p99_ns=round(1.2 * ns),
        algbw_gbps=size / ns,
        busbw_gbps=size / ns,
        launch_ns=40_000,
        blocks_ns=tuple(round(ns * (1 + share / 1000)) for share in range(-3, 4)),
        checked=True,
    )


def bench(
    rows: Sequence[BenchRow] | None = None, *, ranks: int = 2, device: str = "NVIDIA H200", **more: Any
) -> BenchReport:
    made = [
        row(op, size, round(ns * (1 + 0.1 * slower)), name)
        for (op, size), ns in NS.items()
        for slower, name in enumerate(("pynccl", "torch"))
    ]
    fields: dict[str, Any] = {
        "ranks": ranks,
        "machine": (("torch", "2.11.0"), ("NCCL", "2.28.9"), ("device", device)),
        "backends": (("pynccl", "libnccl 2.28.9"), ("torch", "torch 2.11.0 NCCL 2.28.9")),
        "rows": tuple(made if rows is None else rows),
        "verdicts": (),
        "crossovers": (),
        "not_measured": (),
    }
    return BenchReport(**fields | more)
