"""Calls that ran on two backends."""

import msgspec


class PairedRow(msgspec.Struct, frozen=True, kw_only=True):
    """Calls of one kind that ran on two backends back to back, in alternating order; times are the slowest rank's.

    `speedup` is the baseline over the candidate, so above 1 the candidate is faster; `ci_low` and `ci_high` bound it at
    95 %. `disagreeing` counts the pairs whose results differ by more than rounding. `torch_p50_ns` and `pynccl_p50_ns`
    are those of torch.distributed as the baseline and PyNccl as the candidate, and None where other backends ran.
    """

    op: str
    message_bytes: int
    dtype: str
    group_size: int
    pairs: int
    disagreeing: int
    torch_p50_ns: int | None
    pynccl_p50_ns: int | None
    speedup: float
    ci_low: float | None
    ci_high: float | None
    verdict: str
    reason: str | None
    baseline: str = "torch.distributed"
    candidate: str = "pynccl"
    baseline_p50_ns: int | None = None
    candidate_p50_ns: int | None = None
    """None in a report from before these two, which has those above."""
