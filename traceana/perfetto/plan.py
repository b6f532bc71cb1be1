"""What a merge is going to write, before any of it is written: every rank's part on one clock.

Time 0 is the first event of a run; the clocks of several runs are laid one on the other there.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import msgspec

from traceana.analyze.gather import gather
from traceana.analyze.match import match
from traceana.analyze.measure import RankResult, measure_rank
from traceana.analyze.run import backends_by_time, hosts_of, stated_groups, stated_world_size, steps_of_run
from traceana.analyze.spans import SpanTimes
from traceana.analyze.steps import Executions
from traceana.errors import TraceanaError
from traceana.perfetto.call_rows import CallRows, call_rows
from traceana.perfetto.counter import exposed_share, step_ns
from traceana.perfetto.layout import Layout, survey
from traceana.perfetto.numbers import Naming, Numbers, stride
from traceana.perfetto.part import RankPart
from traceana.pool import Progress, each
from traceana.trace.columns import Bools
from traceana.trace.discover import RunFiles, discover

_PROCESSES_A_RANK = 4


class Surveyed(msgspec.Struct, frozen=True, kw_only=True):
    """A rank's numbers and where its events go."""

    result: RankResult
    layout: Layout


class PlannedRank(msgspec.Struct, frozen=True, kw_only=True):
    """One rank of a run; `file_shift_ns` is what its file's own times (ns) are ahead of the merged clock."""

    run: str
    rank: int
    path: Path
    host: str | None
    backend: str | None
    surveyed: Surveyed
    file_shift_ns: int
    spans_shift_ns: int
    """The same for times since the epoch, as the spans' are."""
    steps: Executions
    """The run's, on the ranks' own clocks."""
    calls: CallRows
    warm_up: Bools
    """Of `calls`."""

    @property
    def spans(self) -> SpanTimes:
        """The rank's user spans, on its own clock."""
        return self.surveyed.result.spans


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """All ranks of all runs, a rank of several runs together; `base_time_ns` is the first run's time 0 in ns."""

    ranks: tuple[PlannedRank, ...]
    runs: tuple[str, ...]
    base_time_ns: int
    left_out: tuple[str, ...]

    def parts(self, *, python: bool) -> list[RankPart]:
        """What to write a rank, in the order of the file."""
        layouts = [(rank.surveyed.layout, rank.calls) for rank in self.ranks]
        apart = stride([Numbers(layout, calls, 0).count for layout, calls in layouts])
        step = step_ns(max(rank.surveyed.layout.end_ns - rank.surveyed.layout.start_ns for rank in self.ranks))
        return [
            RankPart(
                path=rank.path,
                python=python,
                position=position,
                first_number=(position + 1) * apart,
                shift_ns=-rank.file_shift_ns,
                naming=self._naming(rank),
                layout=rank.surveyed.layout,
                calls=rank.calls,
                counter=exposed_share(rank.surveyed.result.occupation, -rank.spans_shift_ns, step),
            )
            for position, rank in enumerate(self.ranks)
        ]

    def _naming(self, rank: PlannedRank) -> Naming:
        several = len(self.runs) > 1
        return Naming(
            rank=f"rank {rank.rank} · {rank.run}" if several else f"rank {rank.rank}",
            host=rank.host,
            backend=rank.backend,
            sort_index=(rank.rank * len(self.runs) + self.runs.index(rank.run)) * _PROCESSES_A_RANK,
        )


def survey_rank(path: Path, *, python: bool) -> Surveyed:
    """Measure and survey one file; runs in any process. Raises TraceanaError where nothing can be read of it."""
    return Surveyed(result=_of_calls(measure_rank(path)), layout=survey(path, python=python))


def _of_calls(result: RankResult) -> RankResult:
    """Without what a merge does not look at, which for many ranks is most of what was measured."""
    return msgspec.structs.replace(result, lost=None, spent=None, work=None, covered=None)


def plan(paths: Sequence[Path], *, python: bool, workers: int, progress: Progress) -> Plan:
    """Read everything below `paths`. Raises TraceanaError where no rank of a run could be read."""
    found = discover(paths)
    files = [file.path for run in found.runs for file in run.ranks]
    results = each(partial(survey_rank, python=python), files, workers, progress)
    surveyed = dict(zip(files, results, strict=True))
    ranks: list[PlannedRank] = []
    origins: list[int] = []
    for number, run in enumerate(found.runs):
        origin, planned = _plan_run(run, surveyed, number)
        origins.append(origin)
        ranks.extend(planned)
    failed = [str(result) for result in surveyed.values() if isinstance(result, TraceanaError)]
    return Plan(
        ranks=tuple(sorted(ranks, key=lambda rank: rank.rank)),
        runs=tuple(run.label for run in found.runs),
        base_time_ns=origins[0],
        left_out=tuple(failed + [reason for run in found.runs for reason in run.unreadable]),
    )


def _plan_run(
    files: RunFiles, surveyed: dict[Path, Surveyed | TraceanaError], number: int
) -> tuple[int, list[PlannedRank]]:
    """Time 0 of the run and its ranks."""
    ranks = _ranks(files, surveyed)
    collectives = {rank: one.result.collectives for rank, one in ranks.items()}
    results = {rank: one.result for rank, one in ranks.items()}
    hosts = hosts_of(files, results)
    matching = match(collectives, stated_world_size(results), hosts, stated_groups(results))
    offsets = {rank: matching.clocks.offset_ns.get(rank, 0) for rank in ranks}
    bases = {rank: one.result.header.base_time_ns or 0 for rank, one in ranks.items()}
    origin = min(one.layout.start_ns + bases[rank] - offsets[rank] for rank, one in ranks.items())
    rows = call_rows(collectives, matching, origin, number)
    steps, _ = steps_of_run(results, matching.clocks)
    gathered = gather(collectives, matching, steps)
    of_rank = gathered.rows_of_ranks
    backend = next(iter(backends_by_time(gathered)), None)
    return origin, [
        PlannedRank(
            run=files.label,
            rank=rank,
            path=one.result.path,
            host=hosts.get(rank),
            backend=backend,
            surveyed=one,
            file_shift_ns=origin + offsets[rank] - bases[rank],
            spans_shift_ns=origin + offsets[rank],
            steps=steps,
            calls=rows[rank],
            warm_up=gathered.warm_up[of_rank.get(rank, slice(0))],
        )
        for rank, one in sorted(ranks.items())
    ]


def _ranks(files: RunFiles, surveyed: dict[Path, Surveyed | TraceanaError]) -> dict[int, Surveyed]:
    ranks: dict[int, Surveyed] = {}
    failed = "no rank"
    for file in files.ranks:
        one = surveyed[file.path]
        if isinstance(one, TraceanaError):
            failed = str(one)
        else:
            ranks[file.rank] = one
    if not ranks:
        raise TraceanaError(f"{files.folder}: none of its traces could be read: {failed}")
    return ranks
