"""Reports with something missing, something more or something odd."""

from msgspec.structs import replace

from tests import reports
from traceana.report import Report, Timeline


def without_calls() -> Report:
    run = reports.run("torch")
    empty = replace(
        run,
        operations=(),
        buckets=(),
        stragglers=(),
        waits=(),
        spans=(),
        timeline=None,
        coverage=reports.coverage(0),
    )
    return reports.report(empty)


def with_other_steps(report: Report) -> Report:
    """The same runs, with a slowest and a fastest step beside the middle one on the timeline."""

    def others(timeline: Timeline | None) -> tuple[Timeline, ...]:
        assert timeline is not None
        return tuple(
            replace(timeline, title=f"denoise_step {number}", choice=choice)
            for number, choice in ((2, "slowest"), (3, "fastest"))
        )

    return replace(report, runs=tuple(replace(run, other_timelines=others(run.timeline)) for run in report.runs))


def many_runs() -> Report:
    runs = [reports.run(f"run {index}", speed=1 + index / 20) for index in range(10)]
    return reports.report(*runs, comparisons=tuple(reports.compare(runs[0], other) for other in runs[1:]))


def on_the_host() -> Report:
    run = reports.run("gloo")
    return reports.report(replace(run, ranks=tuple(replace(rank, source="cpu", gpu=None) for rank in run.ranks)))


def against_unsized() -> Report:
    sized, unsized = reports.run("torch"), reports.run("pynccl", backend="pynccl", speed=1.2, sized=False)
    return reports.report(sized, unsized, comparisons=(reports.compare(sized, unsized),))
