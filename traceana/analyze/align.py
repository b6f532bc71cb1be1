"""Which call on one rank is the same collective as which call on another, though either may have lost some.

On one clock the ranks of a collective are inside it together and leave it together: calls whose ends are each other's
nearest are a pair, and what is left between two pairs is paired by order where its counts agree. Numbers that are kept
a process group come first, unless intervals contradict them. Across clocks whose difference is not known, the one is
looked for at which most ends agree.
"""

import msgspec
import numpy as np

from traceana.trace.columns import Bools, Ints

SLACK_NS = 10_000
"""CUPTI brings each GPU's time stamps to the host's clock by itself: intervals that touch may seem this far apart."""
_MOST_SHIFT = 512
_MOST_VOTES = 1000
_FEW_VOTES = 100
TOGETHER_NS = 20_000
"""How far ranks that leave a collective together are apart at most, in the middle."""
_CERTAIN_NS = 1_000
_Pairs = tuple[Ints, Ints]


class CallSequence(msgspec.Struct, frozen=True, kw_only=True):
    """One rank's calls in one process group in order of start.

    `code` is equal where calls can be the same collective. `joint` marks calls that no rank leaves before all came;
    a broadcast's root may, and a sender.
    """

    start_ns: Ints
    end_ns: Ints
    seq: Ints
    code: Ints
    joint: Bools

    def __len__(self) -> int:
        return len(self.code)

    def only(self, kept: Bools) -> "CallSequence":
        """Some of the calls."""
        return CallSequence(
            start_ns=self.start_ns[kept],
            end_ns=self.end_ns[kept],
            seq=self.seq[kept],
            code=self.code[kept],
            joint=self.joint[kept],
        )

    def often(self, least: int) -> Ints:
        """Codes of joint calls of which there are `least`."""
        codes, counts = np.unique(self.code[self.joint], return_counts=True)
        often: Ints = codes[counts >= least]
        return often

    def earlier(self, ns: int) -> "CallSequence":
        """The same calls on a clock that is `ns` behind."""
        return CallSequence(
            start_ns=self.start_ns - ns, end_ns=self.end_ns - ns, seq=self.seq, code=self.code, joint=self.joint
        )


class Alignment(msgspec.Struct, frozen=True, kw_only=True):
    """Indexes into two sequences, pair by pair; the rest is unmatched.

    `numbers_wrong` says that sequence numbers were there and that the calls' times contradict them.
    """

    left: Ints
    right: Ints
    numbers_wrong: bool = False


def align(a: CallSequence, b: CallSequence, offset_ns: int | None) -> Alignment:
    """Pair calls of two ranks; `offset_ns` is how far b's clock is ahead of a's, None where that is not known."""
    if not len(a) or not len(b):
        return _alignment(_nothing())
    if offset_ns is not None:
        b = b.earlier(offset_ns)
        by_number = _meeting(a, b, _agreeing(a, b, _by_number(a, b)))
        if 2 * len(by_number[0]) >= min(len(a), len(b)):
            return _alignment(by_number)
        return _more(by_number, _by_time(a, b), numbered=numbered(a) and numbered(b))
    by_number = _agreeing(a, b, _by_number(a, b))
    if 2 * len(by_number[0]) >= min(len(a), len(b)) and _spread(a, b, by_number) <= TOGETHER_NS:
        return _alignment(by_number)
    by_time = _by_time(a, b.earlier(voted_offset(a, b)))
    scattered = _spread(a, b, by_number) > 10 * _spread(a, b, by_time) + TOGETHER_NS
    wrong = scattered and len(by_time[0]) >= len(by_number[0])
    return _more(_nothing() if wrong else by_number, by_time, numbered=numbered(a) and numbered(b))


def _more(by_number: _Pairs, by_time: _Pairs, *, numbered: bool) -> Alignment:
    """Numbers are kept unless they pair less than half of what times do."""
    trusted = 2 * len(by_number[0]) >= len(by_time[0]) and numbered
    return _alignment(by_number if trusted else by_time, numbers_wrong=numbered and not trusted)


def _alignment(pairs: _Pairs, *, numbers_wrong: bool = False) -> Alignment:
    return Alignment(left=pairs[0], right=pairs[1], numbers_wrong=numbers_wrong)


def numbered(calls: CallSequence) -> bool:
    """Whether every call has a number of its own."""
    if not len(calls) or calls.seq.min() < 0:
        return False
    return bool((np.diff(calls.seq) > 0).all()) or len(np.unique(calls.seq)) == len(calls)


def _by_number(a: CallSequence, b: CallSequence) -> _Pairs:
    if not (numbered(a) and numbered(b)):
        return _nothing()
    if np.array_equal(a.seq, b.seq):
        order = np.argsort(a.seq, kind="stable")
        return order, order
    _, left, right = np.intersect1d(a.seq, b.seq, assume_unique=True, return_indices=True)
    return left, right


def _by_time(a: CallSequence, b: CallSequence) -> _Pairs:
    """Pairs on one clock: all in order where that fits as a whole, else around pairs that end together."""
    if len(a) != len(b):
        return _around_common_ends(a, b)
    whole = np.arange(len(a), dtype=np.int64), np.arange(len(a), dtype=np.int64)
    if len(_meeting(a, b, _agreeing(a, b, whole))[0]) < len(a):
        return _around_common_ends(a, b)
    if (met := _count_meeting(a, b, whole)) == len(a):
        return whole
    around = _around_common_ends(a, b)
    return whole if met >= _count_meeting(a, b, around) else around


def _around_common_ends(a: CallSequence, b: CallSequence) -> _Pairs:
    ours, theirs = np.argsort(a.end_ns, kind="stable"), np.argsort(b.end_ns, kind="stable")
    left, right = _ending_together(a.end_ns[ours], b.end_ns[theirs])
    agree = a.code[ours[left]] == b.code[theirs[right]]
    agree &= _apart_ns(a, b, ours[left], theirs[right]) <= SLACK_NS
    # Where ranks may leave at different times, only ends as near as those of one call tell.
    agree &= a.joint[ours[left]] | (np.abs(a.end_ns[ours[left]] - b.end_ns[theirs[right]]) <= TOGETHER_NS)
    left, right = left[agree], right[agree]
    more_left, more_right = _between(left, right, len(a), len(b))
    left, right = ours[np.concatenate((left, more_left))], theirs[np.concatenate((right, more_right))]
    order = np.argsort(left, kind="stable")
    return _meeting(a, b, _agreeing(a, b, (left[order], right[order])))


def _count_meeting(a: CallSequence, b: CallSequence, pairs: _Pairs) -> int:
    return int((_apart_ns(a, b, *pairs) <= SLACK_NS).sum())


def _ending_together(a: Ints, b: Ints) -> _Pairs:
    """Indexes of ends, both in order, that are each other's nearest."""
    to_b, to_a = nearest(a, b), nearest(b, a)
    left = np.flatnonzero(to_a[to_b] == np.arange(len(a)))
    return left, to_b[left]


def nearest(values: Ints, among: Ints) -> Ints:
    """For each value the index of the nearest one `among` others, which are in order."""
    after = np.clip(np.searchsorted(among, values), 1, max(len(among) - 1, 1))
    before = after - 1
    after = np.minimum(after, len(among) - 1)
    return np.where(values - among[before] <= among[after] - values, before, after)


def _between(left: Ints, right: Ints, ours: int, theirs: int) -> _Pairs:
    """What no pair holds, by order, in each gap between pairs in which both sides lost or gained nothing.

    Where both lost calls between pairs, both may have lost some in one gap: then only a lone call is paired.
    """
    rest_left = np.setdiff1d(np.arange(ours), left, assume_unique=True)
    rest_right = np.setdiff1d(np.arange(theirs), right, assume_unique=True)
    gap_left, gap_right = np.searchsorted(left, rest_left), np.searchsorted(right, rest_right)
    many_left, many_right = (np.bincount(gap, minlength=len(left) + 1) for gap in (gap_left, gap_right))
    missing = (many_left - many_right)[1:-1]
    both_lost = bool((missing > 0).any() and (missing < 0).any())
    equal = (many_left == many_right) & ((many_left == 1) | (not both_lost))
    return rest_left[equal[gap_left]], rest_right[equal[gap_right]]


def _nothing() -> _Pairs:
    return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)


def _agreeing(a: CallSequence, b: CallSequence, pairs: _Pairs) -> _Pairs:
    agree = a.code[pairs[0]] == b.code[pairs[1]]
    return pairs[0][agree], pairs[1][agree]


def _meeting(a: CallSequence, b: CallSequence, pairs: _Pairs) -> _Pairs:
    """Without the pairs that cannot be one collective on one clock: joint calls that never meet."""
    possible = ~a.joint[pairs[0]] | (_apart_ns(a, b, *pairs) <= SLACK_NS)
    return pairs[0][possible], pairs[1][possible]


def _apart_ns(a: CallSequence, b: CallSequence, left: Ints, right: Ints) -> Ints:
    """The time between two intervals, negative where they meet."""
    return np.maximum(a.start_ns[left], b.start_ns[right]) - np.minimum(a.end_ns[left], b.end_ns[right])


def _spread(a: CallSequence, b: CallSequence, pairs: _Pairs) -> float:
    return scatter(b.end_ns[pairs[1]] - a.end_ns[pairs[0]])


def scatter(values: Ints) -> float:
    """Median distance from the median; infinite for nothing."""
    return float(np.median(np.abs(values - np.median(values)))) if len(values) else np.inf


def voted_offset(a: CallSequence, b: CallSequence) -> int:
    """How far b's clock is ahead of a's, in ns: the difference at which most ends agree, whichever calls are lost."""
    whole = _vote(a, b, 0)
    if len(a) == len(b) == whole.count and whole.spread_ns <= _CERTAIN_NS:
        return whole.offset_ns
    votes = [_vote(a, b, shift) for shift in _likely_shifts(a, b)]
    most = max(vote.count for vote in votes)
    votes = [vote for vote in votes if vote.count >= 0.95 * most]
    steady = min(vote.spread_ns for vote in votes)
    # Strictly periodic runs fit at many shifts equally well: then the fewest calls lost is the best guess.
    close = [vote for vote in votes if vote.spread_ns <= 1.5 * steady + _CERTAIN_NS]
    return min(close, key=lambda vote: abs(vote.shift)).offset_ns


def _likely_shifts(a: CallSequence, b: CallSequence) -> list[int]:
    """Shifts at which some of the ends agree on an offset, by a few calls of each."""
    most = min(_MOST_SHIFT, max(len(a), len(b)) // 2 + abs(len(a) - len(b)))
    counts = {}
    for shift in range(-most, most + 1):
        agreeing, step = _agreeing_differences(a, b, shift, _FEW_VOTES)
        counts[shift] = step * len(agreeing)
    most_agreeing = max(counts.values())
    return [shift for shift, count in counts.items() if 2 * count >= most_agreeing]


class _Vote(msgspec.Struct, frozen=True, kw_only=True):
    """At one shift between the sequences: how many ends agree on an offset, and how well."""

    shift: int
    count: int
    offset_ns: int
    spread_ns: float


def _vote(a: CallSequence, b: CallSequence, shift: int) -> _Vote:
    agreeing, step = _agreeing_differences(a, b, shift, _MOST_VOTES)
    if not len(agreeing):
        return _Vote(shift=shift, count=0, offset_ns=0, spread_ns=np.inf)
    offset = round(float(np.median(agreeing)))
    return _Vote(shift=shift, count=step * len(agreeing), offset_ns=offset, spread_ns=scatter(agreeing))


def _agreeing_differences(a: CallSequence, b: CallSequence, shift: int, most: int) -> tuple[Ints, int]:
    """Most differences of ends that are near each other, of every so many calls, and of how many calls each is one."""
    first = max(0, -shift)
    last = max(first, min(len(a), len(b) - shift))
    step = 1 + (last - first) // most
    left = np.arange(first, last, step, dtype=np.int64)
    same = left[a.code[left] == b.code[left + shift]]
    difference = np.sort(b.end_ns[same + shift] - a.end_ns[same])
    if not len(difference):
        return difference, step
    until = np.searchsorted(difference, difference + TOGETHER_NS, side="right")
    best = int(np.argmax(until - np.arange(len(difference))))
    return difference[best : until[best]], step
