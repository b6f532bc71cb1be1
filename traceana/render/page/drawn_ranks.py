"""Which ranks the charts draw: all of them, or where that would be too many bars those that stand out."""

from statistics import median

from traceana.report import Report, RunReport

MOST_BARS = 128
"""A bar a rank and run; more make a chart that is too tall to compare anything in, and a large file."""


def drawn_ranks(report: Report) -> frozenset[int]:
    """Numbers of the ranks to draw: of too many the most typical one and those furthest from the typical rank."""
    numbers = {rank.rank for run in report.runs for rank in run.ranks}
    room = max(2, MOST_BARS // max(1, len(report.runs)))
    if len(numbers) <= room:
        return frozenset(numbers)
    strays = dict.fromkeys(sorted(numbers), 0.0)
    for run in report.runs:
        for number, stray in _strays(run).items():
            strays[number] = max(strays[number], stray)
    by_stray = sorted(strays, key=lambda number: strays[number])
    return frozenset({by_stray[0], *by_stray[1 - room :]})


def _strays(run: RunReport) -> dict[int, float]:
    """How far each rank's compute or exposed communication is from the run's median, as a share of its window."""
    every = [(rank.compute_ns, rank.exposed_comm_ns) for rank in run.ranks]
    typical = [median(values) for values in zip(*every, strict=True)]
    return {
        rank.rank: max(abs(ns - usual) for ns, usual in zip(times, typical, strict=True)) / max(rank.span_ns, 1)
        for rank, times in zip(run.ranks, every, strict=True)
    }
