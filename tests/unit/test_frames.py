from pathlib import Path

import numpy as np
import pytest

from tests.traces import base
from traceana.analyze import intervals
from traceana.analyze.frames import innermost
from traceana.analyze.measure import measure_rank
from traceana.analyze.numbered import base_name
from traceana.trace.columns import HostRows


def frames(*rows: tuple[int, int, int]) -> HostRows:
    """Frames of (start, end, thread)."""
    start, end, thread = np.array(rows, dtype=np.int64).T
    return HostRows(start_ns=start, end_ns=end, thread=thread, key=np.arange(len(rows)))


def rows_at(found: HostRows, *at_ns: int, thread: int = 0) -> list[int]:
    rows: list[int] = innermost(found, np.full(len(at_ns), thread), np.array(at_ns, dtype=np.int64)).tolist()
    return rows


def test_the_frame_opened_last_wins_and_its_end_gives_back_to_the_one_around_it() -> None:
    nested = frames((0, 100, 0), (10, 40, 0), (20, 30, 0), (50, 60, 0))
    assert rows_at(nested, 5, 15, 25, 35, 45, 55, 99) == [0, 1, 2, 1, 0, 3, 0]


def test_frames_that_are_taken_in_parts_nest_as_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intervals, "_AT_ONCE", 2)
    nested = frames((0, 100, 0), (10, 40, 0), (20, 30, 0), (50, 60, 0))
    assert rows_at(nested, 5, 15, 25, 35, 45, 55, 99) == [0, 1, 2, 1, 0, 3, 0]


def test_nothing_is_open_before_between_and_after() -> None:
    assert rows_at(frames((10, 20, 0), (30, 40, 0)), 5, 25, 45) == [-1, -1, -1]


def test_of_frames_that_start_together_the_shorter_is_the_inner_one() -> None:
    assert rows_at(frames((0, 10, 0), (0, 50, 0)), 5, 20) == [0, 1]


def test_frames_of_other_threads_do_not_count() -> None:
    assert rows_at(frames((0, 100, 0), (0, 100, 1)), 50, thread=1) == [1]
    assert rows_at(frames((0, 100, 0)), 50, thread=7) == [-1]


def test_names_lose_their_number() -> None:
    assert [base_name(name) for name in ("denoise_step 3", "ProfilerStep#3", "Linear_3", "42")] == [
        "denoise_step",
        "ProfilerStep",
        "Linear",
        "42",
    ]


def test_a_module_inside_a_span_is_the_site(tmp_path: Path) -> None:
    content = base.good()
    events = content["traceEvents"]
    assert isinstance(events, list)
    second_launch_us = (base.START_NS + 150_000) / 1000
    module = {"ph": "X", "cat": "python_function", "name": "nn.Module: RowParallelLinear_7", "pid": 4000, "tid": 4000}
    events.append({**module, "ts": second_launch_us, "dur": 100.0, "args": {"Python id": 1}})
    path = tmp_path / "rank0.json"
    path.write_bytes(base.compact(content))
    calls = measure_rank(path).collectives
    assert [calls.sites[site] for site in calls.site.tolist()] == ["denoise_step", "RowParallelLinear"]
