"""The timeline strip: as much of each kind as there is time of it, idleness drawn as idleness."""

import re
from dataclasses import replace

import numpy as np
import pytest

from tests import reports
from traceana.analyze.timeline import KINDS, _gathered, _merged
from traceana.render.sections.timeline import CELLS, timelines
from traceana.report import Timeline, TimelineRow, TimelineSlice


def test_a_thin_slice_is_not_stretched_over_what_follows() -> None:
    cuts = np.array([0, 89_000, 39_000_000_000, 39_000_050_000])
    (first, second) = _merged(cuts, np.array([1, 0, 2]))
    assert (first.start_ns, first.end_ns, first.kind) == (0, 89_000, "compute")
    assert (second.start_ns, second.end_ns, second.kind) == (39_000_000_000, 39_000_050_000, "comm")


def test_gathering_thin_stretches_keeps_every_kind_s_time() -> None:
    source = np.random.default_rng(3)
    cuts = np.concatenate([[0], np.cumsum(source.integers(1, 3000, 20_000))])
    kind = source.integers(0, len(KINDS), 20_000)
    edges, gathered = _gathered(cuts, kind)
    assert len(gathered) < 3001
    assert (edges[0], edges[-1]) == (cuts[0], cuts[-1])
    for code in range(len(KINDS)):
        assert np.diff(edges)[gathered == code].sum() == np.diff(cuts)[kind == code].sum()


@pytest.mark.parametrize("busy", [0.02, 0.5, 0.98])
def test_areas_are_as_the_times(busy: float) -> None:
    period = 10_000
    slices = tuple(
        TimelineSlice(start_ns=start, end_ns=start + round(busy * period), kind="compute")
        for start in range(0, 50_000_000, period)
    )
    timeline = Timeline(title="step", duration_ns=50_000_000, rows=(TimelineRow(rank=0, slices=slices),))
    run = replace(reports.run("torch"), timeline=timeline)
    (drawn,) = timelines(reports.report(run))
    (path,) = drawn.strips[0].paths
    widths = [int(width) for width in re.findall(r"h(\d+)v", path.outline)]
    assert sum(widths) == pytest.approx(busy * CELLS, abs=2)
