"""What was compared: the runs' set-ups side by side, differences marked."""

from collections.abc import Callable
from dataclasses import dataclass

from traceana import units
from traceana.render.headline import window
from traceana.report import Report, RunReport


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupRow:
    """One property of every run; `differs` where a fair comparison would want one value."""

    name: str
    values: tuple[str, ...]
    differs: bool


def setup_rows(report: Report) -> tuple[SetupRow, ...]:
    """Backend, ranks, hardware and versions. The backend and the amount recorded may differ; the rest should not."""
    runs = report.runs
    names = sorted({name for run in runs for name, _ in run.versions})
    return (
        _row("backend", runs, _backends, matters=False),
        _row("ranks", runs, _ranks),
        _row("GPU", runs, lambda run: ", ".join(run.gpus) or units.UNKNOWN),
        *(_row(f"{name} version", runs, _version(name)) for name in names),
        _row("window", runs, _window, matters=False),
        _row("calls", runs, lambda run: units.count(run.coverage.collectives)),
        _row("folder", runs, lambda run: run.path, matters=False),
    )


def _row(
    name: str, runs: tuple[RunReport, ...], value: Callable[[RunReport], str], *, matters: bool = True
) -> SetupRow:
    values = tuple(value(run) for run in runs)
    return SetupRow(name=name, values=values, differs=matters and len(set(values)) > 1)


def _backends(run: RunReport) -> str:
    others = [backend for backend in run.backends_seen if backend != run.backend]
    return f"{run.backend} (also {', '.join(others)})" if others else run.backend


def _ranks(run: RunReport) -> str:
    if not run.missing_ranks:
        return units.count(run.world_size)
    return f"{len(run.ranks)} of {run.world_size}"


def _version(name: str) -> Callable[[RunReport], str]:
    return lambda run: dict(run.versions).get(name, units.UNKNOWN)


def _window(run: RunReport) -> str:
    kind = "on the host, no GPU activity" if any(rank.source == "cpu" for rank in run.ranks) else "a rank"
    return f"{units.duration(window(run).span_ns / max(1, len(run.ranks)))} {kind}"
