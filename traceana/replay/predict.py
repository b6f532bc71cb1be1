"""From a changed graph to a step time with its uncertainty."""

import math
from collections.abc import Callable, Sequence
from functools import reduce

import msgspec
import numpy as np

from traceana.comparing.student import two_sided_bound
from traceana.replay.graph import Floats, Graph
from traceana.replay.recorded import Recorded, mean_ns
from traceana.report import WhatIf
from traceana.trace.columns import Ints

Apply = Callable[[Graph], Graph]


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A change in words, what it does to a graph, and what it cannot reach.

    `bounds` do the least and the most that it may do, where figures from elsewhere leave that open.
    """

    words: str
    apply: Apply
    notes: tuple[str, ...] = ()
    bounds: tuple[Apply, Apply] | None = None


def what_if(run: Recorded, changes: Sequence[Change]) -> WhatIf:
    """All changes together."""
    predicted = _played(run, [change.apply for change in changes])
    spread = [predicted]
    if any(change.bounds for change in changes):
        every = [change.bounds or (change.apply, change.apply) for change in changes]
        spread += [_played(run, [bounds[side] for bounds in every]) for side in range(2)]
    reach = _reach(predicted, run.off)
    saved = [_saved_ns(run, times) for times in spread]
    return WhatIf(
        change=" and ".join(change.words for change in changes) or "nothing changed",
        measured_step_ns=round(mean_ns(run.measured_ns)),
        replayed_step_ns=round(mean_ns(run.replayed_ns)),
        predicted_step_ns=round(mean_ns(predicted)),
        low_ns=None if reach is None else round(min(map(mean_ns, spread)) / reach),
        high_ns=None if reach is None else round(max(map(mean_ns, spread)) * reach),
        saved_low_ns=min(low for low, _ in saved) if reach else None,
        saved_high_ns=max(high for _, high in saved) if reach else None,
        steps=len(predicted),
        notes=tuple(note for change in changes for note in change.notes),
    )


def _played(run: Recorded, changes: Sequence[Apply]) -> Ints:
    return run.played_ns(reduce(lambda graph, change: change(graph), changes, run.graph))


def _reach(times_ns: Ints, off: float) -> float | None:
    """The factor by which the mean may be off: 95 % of Student's t over the steps, and the replay's own error."""
    return math.exp(_error(np.log(np.maximum(times_ns, 1))) + off) if len(times_ns) > 1 else None


def _saved_ns(run: Recorded, times_ns: Ints) -> tuple[int, int]:
    """The least and the most that a step gets shorter: the replay may be off by its share of what it changes."""
    before = mean_ns(run.measured_ns)
    change = np.log(np.maximum(times_ns, 1)) - np.log(np.maximum(run.measured_ns, 1))
    reach = _error(change) + run.off * abs(float(change.mean()))
    low, high = (before * (1 - math.exp(float(change.mean()) + side * reach)) for side in (1, -1))
    return round(low), round(high)


def _error(logs: Floats) -> float:
    """Half the 95 % interval of their mean."""
    if len(logs) < 2:
        return 0.0
    return two_sided_bound(0.05, len(logs) - 1) * float(logs.std(ddof=1)) / math.sqrt(len(logs))
