"""Why time was lost, on the page: parts that add up, each with what helps."""

import pytest
from msgspec.structs import replace

from tests import reports
from tests.page import Page
from tests.report_variants import on_the_host
from traceana.render.html import render
from traceana.render.sections.causes import causes
from traceana.render.sections.headline import step_bars


def test_every_answer_adds_up_to_the_time_that_it_explains() -> None:
    report = reports.two_runs()
    found = causes(report)
    assert found is not None
    for one, run in zip(found.sides, report.runs, strict=True):
        exposed = sum(rank.exposed_comm_ns for rank in run.ranks) / len(run.ranks)
        idle = sum(rank.idle_ns for rank in run.ranks) / len(run.ranks)
        assert [question.ns for question in one.questions] == pytest.approx([exposed, exposed, idle])
        assert all(sum(part.share for part in question.parts) == pytest.approx(1) for question in one.questions)
        for row in one.operations:
            assert sum(row.exposed_is) == sum(row.uncovered_by) == pytest.approx(row.exposed_ns)


def test_the_runs_of_a_side_are_explained_together() -> None:
    one, other = (replace(reports.run("torch"), label=f"torch.{number}", repeat=number) for number in (1, 2))
    slower = tuple(replace(rank, exposed_is=reports.exposed_is(2 * rank.exposed_comm_ns)) for rank in other.ranks)
    found = causes(reports.report(one, replace(other, ranks=slower)))
    assert found is not None
    (side,) = found.sides
    assert side.questions[0].ns == pytest.approx(1.5 * one.ranks[0].exposed_comm_ns)
    shares = {part.name: part.share for part in side.questions[0].parts}
    assert shares == pytest.approx({"transfer": 0.75, "waiting for the last rank": 0.25}, abs=1e-6)


def test_each_cause_says_what_helps() -> None:
    text = Page(render(reports.one_run())).text
    assert "compute lies behind the call on its stream 54.9 ms 90 % async_op=True, or a stream of its own" in text
    assert "the host was behind 5.00 ms 55.6 % CUDA graphs" in text


def test_without_causes_the_section_is_left_out() -> None:
    report = on_the_host()
    bare = tuple(
        replace(rank, exposed_is=None, uncovered_by=None, idle_by=None) for run in report.runs for rank in run.ranks
    )
    report = replace(report, runs=(replace(report.runs[0], ranks=bare),))
    assert causes(report) is None
    assert "causes" not in Page(render(report)).ids


def test_the_first_screen_draws_the_typical_step_of_each_side() -> None:
    slow, fast = step_bars(reports.two_runs())
    assert (slow.run.label, fast.run.label) == ("torch", "pynccl")
    assert slow.end == pytest.approx(100)
    assert 0 < fast.end < slow.end
    for bar in (slow, fast):
        assert bar.end == pytest.approx(sum(part.width for part in bar.parts))
    run = replace(reports.run("torch"), steps=())
    assert step_bars(reports.report(run)) == ()
