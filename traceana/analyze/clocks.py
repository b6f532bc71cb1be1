"""Clock offsets between ranks, from the ends of the collectives that they finished together."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from traceana.report import Clock
from traceana.trace.columns import Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonEnds:
    """Ends of the same collectives on two ranks, and whether their intervals meet on the clocks as recorded."""

    first: int
    second: int
    first_end_ns: Ints
    second_end_ns: Ints
    intersecting: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockOffsets:
    """`offset_ns` is to be subtracted from a rank's times; ranks that are not in it need none."""

    offset_ns: Mapping[int, int]
    clock: Clock


def estimate(pairs: Iterable[CommonEnds], hosts: Mapping[int, str | None]) -> ClockOffsets:
    """Offsets against the first rank that each rank can be reached from.

    Ranks of one host share its clock. Where hosts are not known, a shared clock is assumed until collectives
    contradict it: two ranks that were never inside a collective at the same time cannot share a clock.
    """
    offsets: dict[int, int] = {}
    residuals: list[Ints] = []
    corrected = False
    for pair in sorted(pairs, key=lambda one: (one.first, one.second)):
        if pair.second in offsets or not len(pair.first_end_ns):
            continue
        base = offsets.setdefault(pair.first, 0)
        difference = pair.second_end_ns - pair.first_end_ns
        apart = _on_other_clock(pair, hosts)
        corrected = corrected or apart
        offset = round(float(np.median(difference))) if apart else 0
        offsets[pair.second] = base + offset
        residuals.append(np.abs(difference - offset))
    residual = round(float(np.median(np.concatenate(residuals)))) if residuals else None
    method = "collectives" if corrected else "shared" if residuals else "unknown"
    return ClockOffsets(offset_ns=offsets, clock=Clock(method=method, residual_ns=residual))


def on_other_hosts(first: int, second: int, hosts: Mapping[int, str | None]) -> bool | None:
    """Whether two ranks are on different hosts, or None where that is not known."""
    ours, theirs = hosts.get(first), hosts.get(second)
    return ours != theirs if ours and theirs else None


def _on_other_clock(pair: CommonEnds, hosts: Mapping[int, str | None]) -> bool:
    apart = on_other_hosts(pair.first, pair.second, hosts)
    return pair.intersecting < 0.5 if apart is None else apart
