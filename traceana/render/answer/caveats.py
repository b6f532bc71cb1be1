"""What speaks against a report's numbers, each with the runs that it is said of."""

from collections.abc import Iterable, Sequence

import msgspec

from traceana import units
from traceana.report import Comparison, Report, RunReport


class Caveat(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to mind; `kind` says what it does: not like for like, noisy, incomplete, mind."""

    kind: str
    text: str


def of_comparison(comparison: Comparison) -> tuple[Caveat, ...]:
    """Why two sides are not like for like, and what makes their times unsteady."""
    return (
        *(Caveat(kind="not like for like", text=text) for text in comparison.reasons),
        *(Caveat(kind="noisy", text=text) for text in comparison.noise),
    )


def of_runs(runs: Sequence[RunReport], *, noise: bool) -> tuple[Caveat, ...]:
    """What is missing of runs and what reading them came upon, their noise too where nothing else tells it."""
    found = [(run.label, caveat) for run in runs for caveat in _of_run(run, noise=noise)]
    labels: dict[Caveat, list[str]] = {}
    for label, caveat in found:
        labels.setdefault(caveat, []).append(label)
    several = len(runs) > 1
    return tuple(
        Caveat(kind=caveat.kind, text=f"{', '.join(which)}: {caveat.text}" if several else caveat.text)
        for caveat, which in labels.items()
    )


def _of_run(run: RunReport, *, noise: bool) -> Iterable[Caveat]:
    cover = run.coverage
    if run.missing_ranks or cover.truncated_files or cover.failed_files:
        cut = f", {units.plural(len(cover.truncated_files), 'file')} cut short" if cover.truncated_files else ""
        text = f"{units.count(len(run.ranks))} of {units.plural(run.world_size, 'rank')} read{cut}"
        yield Caveat(kind="incomplete", text=text)
    for one in run.noise if noise else ():
        yield Caveat(kind="noisy", text=one.text)
    for note in cover.notes:
        yield Caveat(kind="mind", text=note)


def of_report(report: Report) -> tuple[Caveat, ...]:
    """Of one run or of two sides; more have theirs in the rows of the ranking."""
    compared = tuple(caveat for comparison in report.comparisons for caveat in of_comparison(comparison))
    return (*compared, *of_runs(report.runs, noise=not report.comparisons))
