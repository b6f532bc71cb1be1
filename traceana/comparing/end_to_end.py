"""Does it matter to the program? Step, request and exposed communication of both sides, as cases to judge."""

from collections.abc import Callable, Iterable, Sequence
from statistics import median

import msgspec
import numpy as np
from msgspec.structs import replace

from traceana import units
from traceana.analyze.numbered import base_name
from traceana.comparing.estimate import FEWEST_UNITS, Difference, Sample, difference, estimate, middle_ns, sample
from traceana.comparing.verdict import Case, Judgement
from traceana.report import PerfDump, RunReport, StepComparison, StepTime

EXPOSED_FLOOR_NS = 1_000
"""Exposed communication a step below this counts as this, and a difference below it is none."""
PerfDumps = Sequence[Sequence[PerfDump]]
"""Of one side, run by run."""


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One end-to-end time of both sides before it is judged; counts are executions."""

    metric: str
    name: str
    counts: tuple[int, int]
    times_ns: tuple[int, int]
    case: Case

    def judged(self, judgement: Judgement) -> StepComparison:
        """The report's row."""
        return StepComparison(
            metric=self.metric,
            name=self.name,
            baseline_count=self.counts[0],
            candidate_count=self.counts[1],
            baseline_p50_ns=self.times_ns[0],
            candidate_p50_ns=self.times_ns[1],
            speedup=speedup(self.case.difference, self.times_ns),
            ci_low=judgement.ci_low,
            ci_high=judgement.ci_high,
            p_value=judgement.p_value,
            verdict=judgement.verdict,
            reason=judgement.reason,
            runs_needed=judgement.runs_needed,
        )


def speedup(found: Difference | None, times_ns: tuple[int, int]) -> float:
    """The estimate, or the plain quotient where there is none; 0 where there is no time to divide by."""
    if found:
        return float(np.exp(found.log_ratio))
    return times_ns[0] / times_ns[1] if times_ns[1] else 0.0


def case_of(
    baseline: Sequence[Sample], candidate: Sequence[Sample], *, repeats: bool, doubt: str | None
) -> tuple[Case, tuple[int, int]]:
    """What is to be judged, and the time that stands for each side."""
    a, b = (estimate(side, by_repeats=repeats) for side in (baseline, candidate))
    times = (a.ns if a else middle_ns(baseline), b.ns if b else middle_ns(candidate))
    runs = min(len(baseline), len(candidate))
    if a and b:
        return Case(difference=difference(a, b), doubt=doubt, runs=runs, alone=a.runs == b.runs == 1), times
    return Case(difference=None, lack=_lack((baseline, candidate), repeats), runs=runs), times


def _lack(both: Sequence[Sequence[Sample]], repeats: bool) -> str:
    if repeats:
        return "too few of the repeats have it in their steady state"
    fewest = min(sum(int(run.unit.max()) + 1 for run in side if len(run)) for side in both)
    if not fewest:
        return "nothing of it is left without the first step and the first call of each kind; record more steps"
    return f"one side has {units.plural(fewest, 'steady value')} ({FEWEST_UNITS} are needed); 3 runs a side would do"


def of_runs(
    baseline: Sequence[RunReport], candidate: Sequence[RunReport], *, repeats: bool, doubt: str | None
) -> list[Measured]:
    """What both sides mark, in the order in which it decides: request, step, exposed communication."""
    requests = common(*([run.requests for run in side] for side in (baseline, candidate)))
    steps = common(*([run.steps for run in side] for side in (baseline, candidate)))
    found = []
    if requests:
        found.append(_measured("request", requests.name, requests.values(_duration), repeats, doubt))
    if steps:
        found.append(_measured("step", steps.name, steps.values(_duration), repeats, doubt))
        found += _exposed(steps, repeats, doubt)
    dumps = ([run.perf_dumps for run in baseline], [run.perf_dumps for run in candidate])
    return found + of_perf_dumps(*dumps, repeats=repeats, doubt=None)


class Common(msgspec.Struct, frozen=True, kw_only=True):
    """The steady executions of a span that both sides have, by side and run."""

    name: str
    sides: tuple[tuple[tuple[StepTime, ...], ...], ...]

    def values(self, value: Callable[[StepTime], int]) -> list[list[list[int]]]:
        """One value an execution."""
        return [[[value(step) for step in run] for run in side] for side in self.sides]


def common(baseline: Sequence[Sequence[StepTime]], candidate: Sequence[Sequence[StepTime]]) -> Common | None:
    """What of these executions, given run by run, both sides have; None where they share no span."""
    both = (baseline, candidate)
    ours, theirs = ({base_name(step.name) for run in side for step in run} for side in both)
    if not ours & theirs:
        return None
    steady = tuple(tuple(tuple(step for step in run if step.steady) for run in side) for side in both)
    return Common(name=min(ours & theirs), sides=steady)


def _duration(step: StepTime) -> int:
    return step.duration_ns


def _exposed(steps: Common, repeats: bool, doubt: str | None) -> list[Measured]:
    """Exposed communication a step, without control traffic, where there is any."""
    times = [[ns for run in side for ns in run] for side in steps.values(lambda step: step.exposed_payload_ns)]
    if not any(any(side) for side in times):
        return []
    floored = steps.values(lambda step: max(step.exposed_payload_ns, EXPOSED_FLOOR_NS))
    found = _measured("exposed", steps.name, floored, repeats, doubt)
    shown = [
        ns if ns > EXPOSED_FLOOR_NS else round(median(side or [0]))
        for ns, side in zip(found.times_ns, times, strict=True)
    ]
    smallest = EXPOSED_FLOOR_NS / max(EXPOSED_FLOOR_NS, min(found.times_ns))
    return [replace(found, times_ns=(shown[0], shown[1]), case=replace(found.case, smallest=smallest))]


def of_perf_dumps(baseline: PerfDumps, candidate: PerfDumps, *, repeats: bool, doubt: str | None) -> list[Measured]:
    """The whole request and its denoising steps without the first, where both sides have dumps."""
    if not all(any(side) for side in (baseline, candidate)):
        return []
    totals = [[[dump.total_ns for dump in run] for run in side] for side in (baseline, candidate)]
    steps = [
        [[step for dump in run for step in dump.denoise_steps_ns[1:]] for run in side] for side in (baseline, candidate)
    ]
    doubt = doubt or slowed_alone(baseline, candidate)
    found = [_measured("perf request", "request", totals, repeats, doubt)]
    if all(any(side) for side in steps):
        found.append(_measured("perf step", "denoising step", steps, repeats, doubt))
    return found


def slowed_alone(baseline: PerfDumps, candidate: PerfDumps) -> str | None:
    """The doubt where capture slowed a dump of one side, and none of the other's."""
    slow = [[dump for run in side for dump in run if dump.slowed] for side in (baseline, candidate)]
    one = next((side[0] for side, other in (slow, slow[::-1]) if side and not other), None)
    return None if one is None else f"only one side was made under capture, which slows it ({one.file})"


def _measured(
    metric: str, name: str, both: Sequence[Sequence[Sequence[int]]], repeats: bool, doubt: str | None
) -> Measured:
    samples = [_samples(side) for side in both]
    case, times = case_of(*samples, repeats=repeats, doubt=doubt)
    counts = [sum(map(len, side)) for side in both]
    return Measured(metric=metric, name=name, counts=(counts[0], counts[1]), times_ns=times, case=case)


def _samples(side: Iterable[Sequence[int]]) -> list[Sample]:
    return [sample(np.array(times, dtype=np.int64)) for times in side]
