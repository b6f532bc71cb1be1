"""Who is late and why, and where hosts were, on the page."""

import re

from msgspec.structs import replace

from tests import reports
from tests.page import Page
from traceana.render.html import render
from traceana.render.sections.late import late
from traceana.report import HostPlace, LateBy, LateKernel, Lateness, LateRank, RunReport

BY = LateBy(
    compute_ns=2_000_000,
    memory_ns=0,
    host_behind_ns=27_000_000,
    held_ns=1_000_000,
    waiting_ns=0,
    window_late_ns=0,
    unexplained_ns=0,
)


def lateness(late_ns: int = 10_000_000) -> Lateness:
    return Lateness(
        times_last=4,
        wait_caused_ns=30_000_000,
        late_ns=late_ns,
        by=BY,
        rooted_ns=40_000_000,
        rooted_by=replace(BY, host_behind_ns=37_000_000),
        kernels=(LateKernel(name="void mine::<b>slow</b>_kernel<float>(int)", ns=1_500_000),),
        host=(HostPlace(kind="operator", name="aten::to", ns=20_000_000), HostPlace(kind="nothing", name="", ns=7_000)),
    )


def run(*ranks: LateRank) -> RunReport:
    return replace(reports.run("torch"), late=ranks)


def section(of: RunReport) -> str:
    page = render(reports.report(of))
    found = re.search(r'<section id="late">.*?</section>', page, re.DOTALL)
    return Page(found.group()).text if found else ""


def test_a_late_rank_s_causes_stand_beside_what_they_were_spent_on() -> None:
    text = section(run(LateRank(rank=2, calls=lateness(), steady=lateness(), steps=())))
    assert "warm-up left out" in text
    assert "it computes longer its host is behind another call holds it longest in" in text
    row = "2 10.0 ms 30.0 ms 40.0 ms 2.00 ms 27.0 ms 1.00 ms aten::to 20.0 ms, "
    assert row in text.replace("\N{NO-BREAK SPACE}", " ")


def test_only_where_all_is_warm_up_warm_up_is_shown() -> None:
    early = LateRank(rank=0, calls=lateness(), steady=None, steps=())
    steady = LateRank(rank=2, calls=lateness(), steady=lateness(late_ns=1), steps=())
    (found,) = late(reports.report(run(early, steady)))
    assert [(row.rank, row.late_ns) for row in found.rows] == [(2, 1)]
    (found,) = late(reports.report(run(early)))
    assert [row.rank for row in found.rows] == [0]
    assert not found.steady


def test_where_the_hosts_were_adds_up_over_the_ranks() -> None:
    places = (HostPlace(kind="operator", name="aten::to", ns=3_000_000), HostPlace(kind="rest", name="", ns=5_000_000))
    one = run()
    one = replace(one, ranks=tuple(replace(rank, host_behind_in=places) for rank in one.ranks))
    (found,) = late(reports.report(one))
    assert [(row.name, row.kind, row.ns, row.share) for row in found.places] == [
        ("aten::to", "operator", 3_000_000, 0.375),
        ("", "other places", 5_000_000, 0.625),
    ]
    assert "aten::to operator 3.00 ms 37.5 %" in section(one).replace("\N{NO-BREAK SPACE}", " ")


def test_without_either_the_section_is_left_out() -> None:
    assert section(run()) == ""
