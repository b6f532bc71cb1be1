"""Which of a program's spans are its steps, and which its requests, by their names and by how they nest."""

import re
from collections import Counter
from collections.abc import Sequence

import msgspec
import numpy as np

from traceana.analyze.intervals import covered, union
from traceana.analyze.numbered import base_name
from traceana.analyze.spans import SpanTimes
from traceana.trace.columns import Ints

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
_STEP = {"step", "iteration", "iter"}
# "Optimizer.step#AdamW.step" and "scheduler_step" are parts of a step, and a data loader's iterator is none.
_NOT_A_STEP = {"optimizer", "optim", "opt", "scheduler", "sched", "scaler", "lr", "ema", "loader", "dataloader"}
_REQUEST = re.compile(r"(?<![a-z])request(?![a-z])", re.IGNORECASE)


class _Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A span that may be the step: its executions on one rank, and whether their names carry numbers."""

    name: str
    start_ns: Ints
    end_ns: Ints
    names: int

    @property
    def numbered(self) -> bool:
        return self.names > 1

    @property
    def counts_on(self) -> bool:
        """Whether no number comes twice."""
        return self.names == len(self.start_ns)

    def inside(self, outer: "_Candidate") -> bool:
        """Whether most of this one's time lies in the other's executions, which are longer."""
        mine, theirs = int((self.end_ns - self.start_ns).sum()), int((outer.end_ns - outer.start_ns).sum())
        within = int(covered(self.start_ns, self.end_ns, union(outer.start_ns, outer.end_ns)).sum())
        return mine < theirs and 2 * within > mine


def step_name(spans: SpanTimes) -> str | None:
    """The outermost span named as a step; of several apart the one executed most often. None for one executed once."""
    found = [_candidate(spans, name) for name in sorted(set(map(base_name, spans.names))) if _is_step(name)]
    several = [one for one in found if len(one.start_ns) > 1]
    outermost = [one for one in several if not any(_is_substep(one, other) for other in several)]
    return max(outermost, key=lambda one: len(one.start_ns)).name if outermost else None


def request_name(spans: SpanTimes) -> str | None:
    """The span named as a request that is executed most often."""
    counts = Counter(base for base in map(base_name, spans.names) if _REQUEST.search(base))
    return counts.most_common(1)[0][0] if counts else None


def executions(spans: SpanTimes, name: str) -> Ints:
    """Rows of a span, without those of which most lies inside one before: one marked twice, or inside itself."""
    found = np.array([row for row, other in enumerate(spans.names) if base_name(other) == name], dtype=np.int64)
    start, end = spans.start_ns[found], spans.end_ns[found]
    inside = np.maximum.accumulate(end)[:-1] - start[1:]
    return found[np.concatenate(([True], 2 * inside <= (end - start)[1:]))[: len(found)]]


def _is_step(base: str) -> bool:
    words = {word.lower() for word in _WORD.findall(base)}
    return bool(words & _STEP) and not words & _NOT_A_STEP


def _candidate(spans: SpanTimes, name: str) -> _Candidate:
    rows: Sequence[int] = (found := executions(spans, name)).tolist()
    return _Candidate(
        name=name,
        start_ns=spans.start_ns[found],
        end_ns=spans.end_ns[found],
        names=len({spans.names[row] for row in rows}),
    )


def _is_substep(one: _Candidate, other: _Candidate) -> bool:
    """Numbers that begin anew, or an outer span with numbers, tell a substep from the steps of one long span."""
    return one is not other and one.inside(other) and (other.numbered or not one.counts_on)
