"""What the page leaves out of very many ranks and steps, and how large it is."""

import base64
import re
import zlib

from msgspec.structs import replace

from tests import reports
from traceana.render.html import render
from traceana.render.page.drawn_ranks import MOST_BARS, drawn_ranks
from traceana.render.page.rest import MOST_ROWS
from traceana.render.sections.breakdown import breakdown
from traceana.render.sections.spans import MOST_CHARTS, MOST_MARKED, step_charts
from traceana.render.sections.timeline import timelines
from traceana.report import Report


def even_runs(ranks: int, runs: int, odd: dict[int, int]) -> Report:
    """Runs of equal ranks but for those in `odd`, which compute so many ns longer."""
    equal = [replace(reports.rank_report(0), rank=rank) for rank in range(ranks)]
    found = tuple(replace(one, compute_ns=one.compute_ns + odd.get(one.rank, 0)) for one in equal)
    return reports.report(*(replace(reports.run(f"run {index}", ranks=ranks), ranks=found) for index in range(runs)))


def test_as_many_ranks_as_there_is_room_for_are_all_drawn() -> None:
    assert drawn_ranks(even_runs(64, 2, {})) == set(range(64))
    assert drawn_ranks(reports.report()) == set()


def test_of_more_those_that_stand_out_and_a_typical_one() -> None:
    report = even_runs(64, 10, {7: 5_000_000, 50: -9_000_000})
    drawn = drawn_ranks(report)
    assert len(drawn) == MOST_BARS // 10
    assert {7, 50, 0} <= drawn
    chart = breakdown(report)
    assert {bar.rank for bar in chart.bars} == drawn
    assert chart.left_out == 64 - len(drawn)
    assert {strip.rank for strip in timelines(report)[0].strips} == drawn


def test_ten_runs_of_64_ranks_make_a_page_that_opens_at_once() -> None:
    runs = [reports.run(f"run {index}", ranks=64, speed=1 + index / 20) for index in range(10)]
    report = reports.report(*runs, comparisons=tuple(reports.compare(runs[0], other) for other in runs[1:]))
    page = render(report)
    assert len(page.encode()) < 2_000_000
    assert "52 more ranks in the numbers below" in page
    assert page.count('<tr data-rank="63">') >= 10


def test_of_thousands_of_ranks_those_that_stand_out_are_there_and_the_rest_is_packed() -> None:
    report = even_runs(4096, 1, {2000: 5_000_000})
    page = render(report)
    assert len(page.encode()) < 2_000_000
    table = page[page.index('data-csv="ranks"') :]
    shown, rest = table.partition("<template>")[::2]
    assert '<tr data-rank="2000">' in shown
    unpacked = zlib.decompress(base64.b64decode(rest.partition("</template>")[0])).decode()
    found = [int(rank) for rank in re.findall(r'<tr data-rank="(\d+)">', shown.partition("</table>")[0] + unpacked)]
    assert len(found) == 4096
    assert set(found) == set(range(4096))
    assert f"{4096 - MOST_ROWS:,} more rows" in rest


def test_of_many_steps_the_slowest_have_a_marker_and_all_are_in_the_line() -> None:
    (run,) = reports.one_run().runs
    one = run.spans[0].instances[0]
    steps = tuple(replace(one, name=f"step {index}", compute_ns=1_000_000 + index) for index in range(200))
    spans = tuple(replace(run.spans[0], name=f"kind {kind}", instances=steps) for kind in range(9))
    charts = step_charts(reports.report(replace(run, spans=spans)))
    assert len(charts) == MOST_CHARTS
    (line,) = charts[0].lines
    assert len(line.time.split()) == len(line.exposed.split()) == 200
    assert len(line.marked) == MOST_MARKED
    told = {step.title.split(",")[1].split(":")[0] for step in line.marked}
    assert told == {f" step {index}" for index in range(140, 200)}
