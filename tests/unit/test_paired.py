"""Pairs of calls to rows, and the extra calls out of a trace."""

import math
from typing import Any

import numpy as np
from traceana_capture.launcher.paired import SPAN, without_pairs

from traceana.comparing.paired import paired_rows
from traceana.report import PairedRow
from traceana.trace.paired import PairedCall


def call(rank: int, number: int, torch_ns: float, pynccl_ns: float) -> PairedCall:
    first = "torch" if number % 2 == 0 else "pynccl"
    return PairedCall(
        op="all_reduce",
        message_bytes=1 << 20,
        dtype="bfloat16",
        ranks=(0, 1),
        number=number,
        first=first,
        baseline="torch",
        candidate="pynccl",
        baseline_ns=round(torch_ns),
        candidate_ns=round(pynccl_ns) + rank,
        agree=True,
    )


def simulated(gain: float, *, first_pays: float, calls: int = 40, seed: int = 1) -> PairedRow:
    """`gain` of PyNccl under noise that both calls of a pair share and that moves slowly; the first of a pair pays."""
    random = np.random.default_rng(seed)
    drift = np.exp(np.cumsum(random.normal(0, 0.2, calls)))
    noise = np.exp(random.normal(0, 0.02, (calls, 2)))
    pairs = []
    for number in range(calls):
        torch_first = number % 2 == 0
        torch = 1e6 * drift[number] * noise[number, 0] * (first_pays if torch_first else 1)
        pynccl = 1e6 / gain * drift[number] * noise[number, 1] * (1 if torch_first else first_pays)
        pairs += [call(rank, number, torch, pynccl) for rank in (0, 1)]
    (row,) = paired_rows(pairs)
    return row


def test_a_gain_is_found_under_drift_that_is_larger() -> None:
    row = simulated(1.12, first_pays=1.3)
    assert row.verdict == "faster"
    assert row.ci_low is not None
    assert row.ci_high is not None
    assert row.ci_low < 1.12 < row.ci_high


def test_equal_backends_are_seldom_called_different_though_the_first_of_a_pair_pays() -> None:
    false = [simulated(1.0, first_pays=1.3, seed=seed).verdict in ("faster", "slower") for seed in range(200)]
    assert sum(false) <= 10


def test_a_call_that_a_rank_did_not_measure_is_left_out() -> None:
    calls = [call(rank, number, 1000, 1000) for number in range(3) for rank in (0, 1)][:-1]
    (row,) = paired_rows(calls)
    assert (row.pairs, row.verdict, row.reason) == (2, "cannot tell", "too few pairs to tell")
    assert math.isclose(row.speedup, 1, rel_tol=0.01)


def test_what_pairs_launched_leaves_the_trace() -> None:
    def span(name: str, ts: float, dur: float, tid: int = 1, **more: object) -> dict[str, Any]:
        return {"ph": "X", "name": name, "ts": ts, "dur": dur, "tid": tid, "args": {}, **more}

    kept: list[dict[str, Any]] = [
        span("cudaLaunchKernel", 5, 1, cat="cuda_runtime", args={"correlation": 1}),
        span("ncclDevKernel", 40, 5, tid=7, cat="kernel", args={"correlation": 1}),
        span("gloo:all_reduce", 60, 5, tid=9, cat="cpu_op"),
        {"ph": "M", "name": "process_name", "args": {}},
    ]
    extra = [
        span(SPAN, 10, 20, cat="user_annotation"),
        span(SPAN, 50, 9, tid=7, cat="gpu_user_annotation"),
        span("cudaLaunchKernel", 12, 1, cat="cuda_runtime", args={"correlation": 2}),
        span("ncclDevKernel", 50, 5, tid=7, cat="kernel", args={"correlation": 2}),
        span("gloo:all_reduce", 15, 5, tid=9, cat="cpu_op"),
        span("traceana::3", 13, 2, cat="user_annotation"),
    ]
    assert without_pairs([*extra[:3], *kept, *extra[3:]]) == kept
