"""Runs whose traces hold the host's spans alone: nothing is said of a GPU there."""

from collections.abc import Iterable

from traceana.report import RunReport


def on_host(run: RunReport) -> bool:
    """Whether any rank of a run holds no GPU activity, so that its times are the host's."""
    return any(rank.source == "cpu" for rank in run.ranks)


def device(runs: Iterable[RunReport]) -> str:
    """What did the work of which the runs tell: "GPU", "host" or "GPU or host"."""
    kinds = {"host" if on_host(run) else "GPU" for run in runs}
    return " or ".join(sorted(kinds)) or "GPU"
