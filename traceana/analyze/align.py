"""Which call on one rank is the same collective as which call on another.

With sequence numbers, equal numbers. Without, the k-th call of a process group on each rank, after finding the shift
between windows that opened at different times: operation, dtype and size must agree for every pair, and among the
shifts that agree the one that is physically possible is taken. On one clock, the ranks of a collective are inside it
together, so their intervals intersect. Across clocks, the ends differ by a constant.
"""

from dataclasses import dataclass

import numpy as np

from traceana.trace.columns import Ints

_MOST_SHIFT = 512
_SHARED_CLOCK = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSequence:
    """One rank's calls in one process group in order; `code` is equal where op, dtype and size are."""

    start_ns: Ints
    end_ns: Ints
    seq: Ints
    code: Ints

    def __len__(self) -> int:
        return len(self.code)


def align(reference: CallSequence, other: CallSequence, *, other_clock: bool = False) -> tuple[Ints, Ints]:
    """Indexes into both sequences, pair by pair, of calls that agree; the rest is unmatched.

    `other_clock` says that the two are known to be on different hosts, so that times prove nothing.
    """
    if not len(reference) or not len(other):
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    if _numbered(reference) and _numbered(other):
        _, left, right = np.intersect1d(reference.seq, other.seq, assume_unique=True, return_indices=True)
    else:
        left, right = _shifted(reference, other, _best_shift(reference, other, other_clock))
    agree = reference.code[left] == other.code[right]
    return left[agree], right[agree]


def intersecting(a: CallSequence, b: CallSequence, left: Ints, right: Ints) -> float:
    """The share of pairs whose intervals intersect on the clocks as recorded."""
    if not len(left):
        return 1.0
    meet = np.maximum(a.start_ns[left], b.start_ns[right]) <= np.minimum(a.end_ns[left], b.end_ns[right])
    return float(meet.mean())


def _numbered(calls: CallSequence) -> bool:
    return bool((calls.seq >= 0).all()) and len(np.unique(calls.seq)) == len(calls)


def _shifted(a: CallSequence, b: CallSequence, shift: int) -> tuple[Ints, Ints]:
    """Pairs (i, i + shift)."""
    first = max(0, -shift)
    left = np.arange(first, max(first, min(len(a), len(b) - shift)), dtype=np.int64)
    return left, left + shift


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fit:
    shift: int
    agreeing: float
    intersecting: float
    spread_ns: float
    distance_ns: float
    pairs: int


def _best_shift(a: CallSequence, b: CallSequence, other_clock: bool) -> int:
    fit = _fit(a, b, 0)
    if fit.agreeing == 1.0 and (other_clock or fit.intersecting >= _SHARED_CLOCK) and len(a) == len(b):
        return 0
    most = min(_MOST_SHIFT, max(len(a), len(b)) // 2 + abs(len(a) - len(b)))
    fits = [_fit(a, b, shift) for shift in range(-most, most + 1)]
    fits = [one for one in fits if one.pairs >= min(len(a), len(b)) / 2]
    best = max(one.agreeing for one in fits)
    fits = [one for one in fits if one.agreeing == best]
    meeting = [one for one in fits if one.intersecting >= _SHARED_CLOCK and not other_clock]
    if meeting:
        return min(meeting, key=lambda one: (-one.intersecting, one.distance_ns, abs(one.shift))).shift
    steady = min(one.spread_ns for one in fits)
    # Strictly periodic runs fit at many shifts equally well: then the fewest calls lost is the best guess.
    return min((one for one in fits if one.spread_ns <= 1.5 * steady + 1000), key=lambda one: abs(one.shift)).shift


def _fit(a: CallSequence, b: CallSequence, shift: int) -> _Fit:
    left, right = _shifted(a, b, shift)
    if not len(left):
        return _Fit(shift=shift, agreeing=0.0, intersecting=0.0, spread_ns=np.inf, distance_ns=np.inf, pairs=0)
    difference = b.end_ns[right] - a.end_ns[left]
    return _Fit(
        shift=shift,
        agreeing=float((a.code[left] == b.code[right]).mean()),
        intersecting=intersecting(a, b, left, right),
        spread_ns=float(np.median(np.abs(difference - np.median(difference)))),
        distance_ns=float(np.median(np.abs(difference))),
        pairs=len(left),
    )
