"""From a changed graph to a step time with its uncertainty."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from traceana.compare.student import two_sided_bound
from traceana.replay.graph import Graph
from traceana.replay.recorded import Recorded, mean_ns
from traceana.report import WhatIf
from traceana.trace.columns import Ints

Apply = Callable[[Graph], Graph]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
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
    return WhatIf(
        change=" and ".join(change.words for change in changes) or "nothing changed",
        measured_step_ns=round(mean_ns(run.measured_ns)),
        replayed_step_ns=round(mean_ns(run.replayed_ns)),
        predicted_step_ns=round(mean_ns(predicted)),
        low_ns=None if reach is None else round(min(map(mean_ns, spread)) / reach),
        high_ns=None if reach is None else round(max(map(mean_ns, spread)) * reach),
        steps=len(predicted),
        notes=tuple(note for change in changes for note in change.notes),
    )


def _played(run: Recorded, changes: Sequence[Apply]) -> Ints:
    return run.played_ns(reduce(lambda graph, change: change(graph), changes, run.graph))


def _reach(times_ns: Ints, off: float) -> float | None:
    """The factor by which the mean may be off: 95 % of Student's t over the steps, and the replay's own error."""
    if len(times_ns) < 2:
        return None
    logs = np.log(np.maximum(times_ns, 1))
    error = float(logs.std(ddof=1)) / math.sqrt(len(logs))
    return math.exp(two_sided_bound(0.05, len(logs) - 1) * error + off)
