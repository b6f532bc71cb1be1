"""What the report cannot know, in plain words: each gap with what it costs and the runs that have it."""

from collections.abc import Callable

import msgspec

from traceana import units
from traceana.render.page.marks import RunMark, marked_runs
from traceana.render.page.section import Section
from traceana.report import Report, RunReport

UNKNOWN_BACKEND = "unknown"
"""`Operation.backend` of calls whose launch or metadata is not in the trace."""


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """Runs that have the gap to the same degree; `detail` says how large it is."""

    runs: tuple[RunMark, ...]
    detail: str


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is not known, what follows from that, and where."""

    name: str
    consequence: str
    cases: tuple[Case, ...]


class _Check(msgspec.Struct, frozen=True, kw_only=True):
    """`details` gives a line for each gap of this kind in a run."""

    name: str
    consequence: str
    details: Callable[[RunReport], list[str]]


def gaps(report: Report) -> tuple[Gap, ...]:
    """Every kind of gap that any run has, the gravest first."""
    found = []
    for check in CHECKS:
        details: dict[str, list[RunMark]] = {}
        for mark, run in marked_runs(report):
            for detail in check.details(run):
                details.setdefault(detail, []).append(mark)
        if details:
            cases = tuple(Case(runs=tuple(marks), detail=detail) for detail, marks in details.items())
            found.append(Gap(name=check.name, consequence=check.consequence, cases=cases))
    return tuple(found)


def _missing_ranks(run: RunReport) -> list[str]:
    reasons = {missing.rank: missing.reason for missing in run.setup.missing} if run.setup else {}
    ranks: dict[str, list[int]] = {}
    for rank in run.missing_ranks:
        ranks.setdefault(reasons.get(rank, "no trace found"), []).append(rank)
    return [f"rank {units.number_ranges(of)}: {reason}" for reason, of in ranks.items()]


def _damage(run: RunReport) -> list[str]:
    cover = run.coverage
    cut = [
        f"{file.file} (rank {file.rank}) is cut short: {units.count(file.events)} whole events kept; {file.missing}"
        for file in cover.truncated_files
    ]
    unread = [f"unread: {reason}" for reason in cover.failed_files]
    skipped = [f"{units.plural(cover.skipped_events, 'damaged event')} left out"] if cover.skipped_events else []
    return [*cut, *unread, *skipped]


def _sizes(run: RunReport) -> list[str]:
    cover = run.coverage
    if not cover.without_size:
        return []
    return [f"{units.count(cover.without_size)} of {units.plural(cover.collectives, 'call')}"]


def _unmatched(run: RunReport) -> list[str]:
    cover = run.coverage
    if cover.matched == cover.collectives:
        return []
    return [f"{units.count(cover.collectives - cover.matched)} of {units.plural(cover.collectives, 'call')}"]


def _issuers(run: RunReport) -> list[str]:
    calls = sum(operation.count for operation in run.operations if operation.backend == UNKNOWN_BACKEND)
    return [f"{units.count(calls)} of {units.plural(run.coverage.collectives, 'call')}"] if calls else []


def _clocks(run: RunReport) -> list[str]:
    if run.clock.method == "collectives":
        return [f"estimated from the ends of matched collectives, {units.duration(run.clock.residual_ns)} left over"]
    if run.clock.method == "unknown" and len(run.ranks) > 1:
        return ["no matched collective to estimate them from"]
    return []


def _steps(run: RunReport) -> list[str]:
    return [] if run.steps else ["no span looks like a step"]


def _sites(run: RunReport) -> list[str]:
    lost = sum(site.count for site in run.call_sites if site.site is None)
    return [f"{units.count(lost)} of {units.plural(run.coverage.collectives, 'call')}"] if lost else []


def _device(run: RunReport) -> list[str]:
    ranks = [rank.rank for rank in run.ranks if rank.source == "cpu"]
    return [f"rank {units.number_ranges(ranks)}"] if ranks else []


def _nccl(run: RunReport) -> list[str]:
    has_nccl = any(operation.library == "nccl" for operation in run.operations)
    told = run.setup is not None and run.setup.nccl_logs
    return ["no log of NCCL beside the traces"] if has_nccl and not told else []


def _notes(run: RunReport) -> list[str]:
    return list(run.coverage.notes)


CHECKS = (
    _Check(
        name="Ranks without a trace",
        consequence="Their work and waiting are in no number here, and calls of their groups cannot be matched.",
        details=_missing_ranks,
    ),
    _Check(
        name="Damaged files",
        consequence="What was lost is in no number here.",
        details=_damage,
    ),
    _Check(
        name="Message sizes",
        consequence="No bandwidth and no comparison by size for these calls: a plain profiler records none for calls "
        "that bypass torch.distributed or are replayed from a CUDA graph. traceana capture adds them.",
        details=_sizes,
    ),
    _Check(
        name="Waiting apart from transfer",
        consequence="These calls were not found on every rank of their group, so they count with their whole duration.",
        details=_unmatched,
    ),
    _Check(
        name="Who issued a call",
        consequence="Replays of a CUDA graph and calls launched before the window carry no record of their issuer.",
        details=_issuers,
    ),
    _Check(
        name="The ranks' clocks",
        consequence="Waits shorter than what is left between the clocks mean nothing.",
        details=_clocks,
    ),
    _Check(
        name="Steps",
        consequence="What a difference is worth a step cannot be said; name steps with record_function: "
        "denoise_step 0, denoise_step 1 and so on.",
        details=_steps,
    ),
    _Check(
        name="Call sites",
        consequence="No user span and no module was open when these calls were launched; traceana capture --stacks "
        "records modules.",
        details=_sites,
    ),
    _Check(
        name="The GPU's side",
        consequence="The trace holds host spans only, so durations are the host's.",
        details=_device,
    ),
    _Check(
        name="What NCCL chose",
        consequence="Transports, channels and algorithms are only in NCCL's log, which traceana capture keeps.",
        details=_nccl,
    ),
    _Check(name="Remarks", consequence="What reading and matching came upon.", details=_notes),
)


class Unknowns(msgspec.Struct, frozen=True, kw_only=True):
    """The section's list; the table beside it stands whatever is known."""

    gaps: tuple[Gap, ...]


def _unknowns(report: Report) -> Unknowns:
    return Unknowns(gaps=gaps(report))


SECTION = Section(name="unknowns", title="What this report cannot know", view=_unknowns)
