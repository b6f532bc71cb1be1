"""Steps of a run that marks none: the sequence of its collectives repeats itself, and a repetition is a step."""

from collections.abc import Callable, Hashable, Iterator, Mapping

import msgspec
import numpy as np

from traceana import units
from traceana.analyze.clocks import ClockOffsets
from traceana.analyze.collectives import Collectives, Signature
from traceana.analyze.measure import RankResult
from traceana.analyze.steps import NO_STEPS, Executions
from traceana.trace.columns import Bools, Ints

NAME = "step, by repetition"
_FEWEST = 3
_MOST_A_PERIOD = 8
"""How often the rarest call of a step may come in it."""


class Repetition(msgspec.Struct, frozen=True, kw_only=True):
    """`count` times `period` calls, from the call `first` on."""

    first: int
    period: int
    count: int


def repetition(codes: Ints) -> Repetition | None:
    """The shortest period that, three times or more, makes up half of the sequence; None where all calls are alike.

    A sequence of one kind of call repeats with every call, which says nothing of steps.
    """
    for period in _periods(codes):
        first, length = _longest_stretch(codes[period:] == codes[:-period])
        count = (length + period) // period
        several_kinds = len(np.unique(codes[first : first + period])) > 1
        if several_kinds and count >= _FEWEST and 2 * (length + period) >= len(codes):
            return Repetition(first=first, period=period, count=count)
    return None


def _periods(codes: Ints) -> list[int]:
    """How far apart calls of one kind most often are, counting over several of them, the shortest first."""
    found = set()
    for code in np.unique(codes).tolist():
        at = np.flatnonzero(codes == code)
        for several in range(1, min(_MOST_A_PERIOD, len(at) - 1) + 1):
            distances, counts = np.unique(at[several:] - at[:-several], return_counts=True)
            found.add(int(distances[counts.argmax()]))
    return sorted(found)


def _longest_stretch(alike: Bools) -> tuple[int, int]:
    """Start and length of the longest run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], alike, [False]))))
    if not len(edges):
        return 0, 0
    lengths = edges[1::2] - edges[::2]
    longest = int(lengths.argmax())
    return int(edges[2 * longest]), int(lengths[longest])


def repeated_steps(ranks: Mapping[int, RankResult], clocks: ClockOffsets) -> tuple[Executions, tuple[str, ...]]:
    """Steps from the end of one repetition to that of the next, on the common clock, and what is to be said of them.

    The lowest rank's calls tell the repetition; ranks whose clock is not known against it have no steps.
    """
    lowest = min(ranks)
    calls = ranks[lowest].collectives
    found = next((one for codes in _codes(calls) if (one := repetition(codes))), None)
    if found is None:
        return NO_STEPS, ()
    edges = clocks.common(lowest, _edges(calls, found, ranks[lowest]))
    alike = [rank for rank in ranks if clocks.comparable((lowest, rank))]
    own = {rank: clocks.own(rank, edges) for rank in alike}
    executed = Executions(
        names=tuple(f"{NAME} {number}" for number in range(found.count)),
        start_ns={rank: times[:-1] for rank, times in own.items()},
        end_ns={rank: times[1:] for rank, times in own.items()},
        cut_short=(False,) * found.count,
    )
    note = (
        f"no span marks a step: on rank {lowest} the same {units.plural(found.period, 'call')} repeat "
        f"{found.count} times, and one repetition is taken for a step"
    )
    return executed, (note,)


def _codes(calls: Collectives) -> Iterator[Ints]:
    """Operation, size and group of every call as a number; then without the size, which may differ by step."""
    keys: tuple[Callable[[Signature], Hashable], ...] = (
        lambda s: (s.op, s.message_bytes, s.group or s.group_name),
        lambda s: (s.op, s.group or s.group_name),
    )
    for key in keys:
        numbers: dict[Hashable, int] = {}
        codes = [numbers.setdefault(key(signature), len(numbers)) for signature in calls.signatures]
        yield np.array(codes, dtype=np.int64)[calls.signature]


def _edges(calls: Collectives, found: Repetition, result: RankResult) -> Ints:
    """When each repetition was done; the first begins where the calls before it end, or with the rank's window."""
    done = np.maximum.accumulate(calls.end_ns)
    last = found.first + found.period * np.arange(1, found.count + 1) - 1
    begin = done[found.first - 1] if found.first else min(result.occupation.busy.start[0], calls.start_ns[0])
    return np.concatenate(([begin], done[last]))
