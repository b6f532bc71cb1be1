"""The changes that would shorten a run's steps most, for the report."""

from collections.abc import Callable, Iterator, Mapping

from traceana.analyze.run import AnalyzedRun
from traceana.analyze.work import RankWork
from traceana.errors import TraceanaError
from traceana.replay import wishes
from traceana.replay.play import NotKnownError
from traceana.replay.predict import Change, what_if
from traceana.replay.recorded import Recorded, recorded
from traceana.report import WhatIf

MOST = 3
# So many steps tell what a change brings; replaying thousands would cost more than reading them.
_MOST_STEPS, _FEWEST_STEPS = 16, 4
_MOST_ACTIVITIES = 60_000
_TOO_MANY_ACTIVITIES = 500_000
"""Even the fewest steps of thousands of ranks may be more than this, of which each takes about a kilobyte."""
_SMALLEST = 0.001
"""What shortens a step by less than this share is no help."""


def what_helps(run: AnalyzedRun, works: Mapping[int, RankWork | None]) -> tuple[tuple[WhatIf, ...] | None, str | None]:
    """At most three changes, the largest first; or the reason why none is known."""
    try:
        return most_helpful(recorded(run, works, _steps(run, works)), run), None
    except NotKnownError as error:
        return None, str(error)


def _steps(run: AnalyzedRun, works: Mapping[int, RankWork | None]) -> int:
    """How many steps to replay: fewer where ranks do much in one. Raises NotKnownError where it is too much in any."""
    activities = sum(len(work) for work in works.values() if work)
    a_step = activities / max(len(run.report.steps), 1)
    count = min(max(int(_MOST_ACTIVITIES / max(a_step, 1.0)), _FEWEST_STEPS), _MOST_STEPS)
    if (replayed := round(min(count, len(run.report.steps)) * a_step)) > _TOO_MANY_ACTIVITIES:
        raise NotKnownError(
            f"{count} of its steps are {replayed:,} activities of {len(works)} ranks' GPUs, more than every analysis "
            "replays; `traceana whatif` replays what you ask for"
        )
    return count


def most_helpful(ready: Recorded, run: AnalyzedRun) -> tuple[WhatIf, ...]:
    """The changes that save most, each by itself."""
    found = [what_if(ready, [change]) for change in _candidates(ready, run)]
    helpful = [one for one in found if one.saved_ns > _SMALLEST * one.measured_step_ns]
    return tuple(sorted(helpful, key=lambda one: -one.saved_ns)[:MOST])


def _candidates(ready: Recorded, run: AnalyzedRun) -> Iterator[Change]:
    wanted: list[Callable[[], Change]] = [
        lambda: wishes.no_straggler(run.report.stragglers),
        wishes.no_launch_gaps,
        lambda: wishes.best_quartile(ready),
    ]
    exposed = wishes.exposed_by_operation(ready, run.calls.exposed_ns)
    if exposed and max(exposed.values()) > 0:
        wanted.append(lambda: wishes.overlap(ready, max(exposed, key=lambda op: exposed[op])))
    for wish in wanted:
        try:
            yield wish()
        except TraceanaError:
            # The run has not what this change is about.
            continue
