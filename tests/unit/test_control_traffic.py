"""What a scheduler tells its workers while it waits for work is in no figure that tells payload."""

import numpy as np
from msgspec.structs import replace

from tests import reports
from tests.simulation import Truth, side
from traceana.analyze.control import control, rows_of_control
from traceana.analyze.run import AnalyzedRun
from traceana.comparing.comparison import compare
from traceana.comparing.sides import Side
from traceana.render.answer.overview import costly
from traceana.render.answer.typical_step import typical_step
from traceana.render.sections.spans import step_charts
from traceana.report import Operation
from traceana.sweep.causes import cause

IDLE_NS = 60_000_000


def idle(run: AnalyzedRun) -> AnalyzedRun:
    """The run with a broadcast of eight bytes in each step for which its workers wait."""
    small = replace(run.calls.signatures[0], op="broadcast", message_bytes=8, library="gloo")
    told = run.calls.signature == 0
    calls = replace(
        run.calls,
        signatures=(small, *run.calls.signatures[1:]),
        wait_ns=run.calls.wait_ns + np.where(told, IDLE_NS, 0),
        exposed_ns=run.calls.exposed_ns + np.where(told, IDLE_NS, 0),
    )
    steps = tuple(
        replace(step, exposed_comm_ns=step.exposed_comm_ns + IDLE_NS, control_exposed_comm_ns=IDLE_NS)
        for step in run.report.steps
    )
    return AnalyzedRun(report=replace(run.report, steps=steps), calls=calls)


def test_a_comparison_tells_waits_and_exposed_time_of_payload() -> None:
    baseline = side("torch", Truth(repeats=3), np.random.default_rng(1))
    waiting = Side(
        label="pynccl", runs=tuple(map(idle, side("pynccl", Truth(repeats=3), np.random.default_rng(2)).runs))
    )
    found = compare(baseline, waiting)
    assert not any("late rank" in text for text in found.noise)
    (exposed,) = (one for one in found.end_to_end if one.metric == "exposed")
    assert abs(exposed.candidate_p50_ns - exposed.baseline_p50_ns) < IDLE_NS / 10


def test_a_typical_step_tells_exposed_time_of_payload() -> None:
    (run,) = side("torch", Truth(repeats=1), np.random.default_rng(1)).runs
    without, beside = (typical_step([one.report]) for one in (run, idle(run)))
    assert without is not None
    assert beside is not None
    assert (beside.exposed_ns, beside.duration_ns) == (without.exposed_ns, without.duration_ns)
    assert cause(run.report).exposed_ns == cause(idle(run).report).exposed_ns


def test_a_step_s_chart_says_control_traffic_beside_payload() -> None:
    run = reports.run("torch")
    beside = replace(run, steps=tuple(replace(step, control_exposed_comm_ns=50_000) for step in run.steps))
    titles = [
        [step.title.replace("\xa0", " ") for line in chart.lines for step in line.marked]
        for chart in step_charts(reports.report(beside))
    ]
    assert any("50.0 µs in control traffic; on the host" in title for chart in titles for title in chart)
    plain = [line for chart in step_charts(reports.report(run)) for line in chart.lines]
    assert not any("control" in step.title for line in plain for step in line.marked)


def small(operation: Operation, library: str) -> Operation:
    return replace(operation, op="broadcast", message_bytes=8, library=library, exposed_ns=1_000)


def test_calls_of_one_size_are_told_apart_by_what_carries_them() -> None:
    """A broadcast of eight bytes on NCCL is payload, one on gloo is not: as in the times of a rank."""
    large = reports.run("torch").operations[0]
    on_host, on_device = small(large, "gloo"), small(large, "nccl")
    assert control([large, on_host, on_device]) == {("broadcast", 8, True)}
    assert (rows_of_control([large, on_host]), rows_of_control([on_host, on_device])) == ({("broadcast", 8)}, set())
    assert not control([on_host])
    assert not rows_of_control([on_host])
    run = replace(reports.run("torch"), operations=(on_host, on_device))
    assert [(one.op, one.share) for one in costly([run])] == [("broadcast", 1.0), ("broadcast", 0.5)]
