"""Calls that ran on both backends."""

import msgspec


class PairedRow(msgspec.Struct, frozen=True, kw_only=True):
    """Calls of one kind that ran on both backends back to back, in alternating order; times are the slowest rank's.

    `speedup` is torch.distributed over PyNccl, so above 1 PyNccl is faster; `ci_low` and `ci_high` bound it at 95 %.
    `disagreeing` counts the pairs whose results differ by more than rounding.
    """

    op: str
    message_bytes: int
    dtype: str
    group_size: int
    pairs: int
    disagreeing: int
    torch_p50_ns: int
    pynccl_p50_ns: int
    speedup: float
    ci_low: float | None
    ci_high: float | None
    verdict: str
    reason: str | None
