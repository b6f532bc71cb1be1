"""What one rank's file says: from when to when its spans ran, on which devices, over which window."""

from pathlib import Path

import pytest

from tests.analysis import analyze
from tests.synthetic.kineto import Event, EventWriter, write_document
from tests.traces.base import ALL_REDUCE, START_NS, add_kernel, finish
from traceana.analyze.measure import RankResult, measure_rank

MS = 1_000_000


def measured(folder: Path, writer: EventWriter) -> RankResult:
    path = folder / "rank0.json"
    write_document(path, finish(writer))
    return measure_rank(path)


def span(writer: EventWriter, name: str, start_ns: int, dur_ns: int) -> None:
    writer.host_span("user_annotation", name, START_NS + start_ns, dur_ns)


def stopped(writer: EventWriter, at_ns: int) -> None:
    """Kineto's mark of a recording from the start to `at_ns`."""
    place: Event = {
        "ph": "X",
        "cat": "Trace",
        "name": "PyTorch Profiler (0)",
        "pid": "Spans",
        "tid": "PyTorch Profiler",
    }
    writer.events.append({**place, "ts": START_NS / 1000, "dur": at_ns / 1000, "args": {"Op count": 0}})


def extents(result: RankResult) -> list[tuple[int, int]]:
    origin = START_NS + (result.header.base_time_ns or 0)
    starts, ends = result.spans.device_start_ns - origin, result.spans.device_end_ns - origin
    return list(zip(starts.tolist(), ends.tolist(), strict=True))


def test_a_step_starts_with_what_starts_first_and_ends_with_what_ends_last(tmp_path: Path) -> None:
    """The kernel launched first waits on a side stream for the others, and what was launched before runs on."""
    writer = EventWriter(rank=0)
    add_kernel(writer, START_NS, 9 * MS, side=True)
    span(writer, "step 0", MS, 2 * MS)
    writer.activity("kernel", ALL_REDUCE, START_NS + 2 * MS, MS, stream=20)
    launch = next(event for event in reversed(writer.events) if event["cat"] == "cuda_runtime")
    launch["ts"] = (START_NS + MS) / 1000 + 1
    add_kernel(writer, START_NS + MS + MS // 2, MS)
    assert extents(measured(tmp_path, writer)) == [(MS + MS // 2, 3 * MS)]


def test_on_the_host_alone_a_step_is_its_span(tmp_path: Path) -> None:
    writer = EventWriter(rank=0)
    for step in range(2):
        span(writer, f"step {step}", step * 10 * MS, 9 * MS)
        writer.host_span("cpu_op", "aten::mm", START_NS + step * 10 * MS + MS, 3 * MS)
        writer.host_span("user_annotation", "gloo:all_reduce", START_NS + step * 10 * MS + 4 * MS, 2 * MS)
    result = measured(tmp_path, writer)
    own = [row for row, name in enumerate(result.spans.names) if name.startswith("step")]
    assert [extents(result)[row] for row in own] == [(0, 9 * MS), (10 * MS, 19 * MS)]
    assert [int(result.spans.compute_ns[row]) for row in own] == [3 * MS, 3 * MS]


def test_control_traffic_on_the_host_is_told_apart_from_payload(tmp_path: Path) -> None:
    """A broadcast of eight bytes waits for work around an all-reduce, and a product covers a part of each."""
    told = {"Collective name": "broadcast", "In msg nelems": 1, "Out msg nelems": 1, "dtype": "Long", "Group size": 2}
    reduced = {**told, "Collective name": "allreduce", "In msg nelems": 256, "Out msg nelems": 256}

    def rank(*calls: tuple[str, int, int, Event]) -> EventWriter:
        writer = EventWriter(rank=0)
        writer.host_span("cpu_op", "aten::mm", START_NS + 3 * MS, 4 * MS)
        for step in range(2):
            span(writer, f"step {step}", step * 9 * MS, 9 * MS)
        for name, start_ms, lasted_ms, args in calls:
            writer.host_span("user_annotation", name, START_NS + start_ms * MS, lasted_ms * MS, args)
        return writer

    idle, payload = ("gloo:broadcast", 0, 5, told), ("gloo:all_reduce", 4, 6, reduced)
    result = measured(tmp_path, rank(idle, payload))
    split, control = result.split, result.control
    assert (split.comm_ns, split.exposed_comm_ns) == (10 * MS, 6 * MS)
    assert (control.comm_ns, control.exposed_ns) == (4 * MS, 3 * MS)
    run = analyze(tmp_path, tmp_path / "rank0.json").run
    first = run["ranks"][0]
    assert (first["exposed_comm_ns"], first["control_comm_ns"], first["control_exposed_comm_ns"]) == (
        6 * MS,
        4 * MS,
        3 * MS,
    )
    steps = [(step["exposed_comm_ns"], step["control_exposed_comm_ns"]) for step in run["steps"]]
    assert steps == [(5 * MS, 3 * MS), (1 * MS, 0)]
    write_document(tmp_path / "rank0.json", finish(rank(idle)))
    run = analyze(tmp_path, tmp_path / "rank0.json").run
    for alone in (run["ranks"][0], run["steps"][0]):
        assert (alone["exposed_comm_ns"], alone["control_exposed_comm_ns"]) == (3 * MS, 0)


@pytest.mark.parametrize(("stop_ms", "end_ms", "cut"), [(10, 10, True), (30, 18, False), (None, 18, False)])
def test_a_span_open_at_the_windows_end_is_cut_there(
    tmp_path: Path, stop_ms: int | None, end_ms: int, cut: bool
) -> None:
    writer = EventWriter(rank=0)
    span(writer, "request", 0, 18 * MS)
    writer.host_span("user_annotation", "gloo:all_reduce", START_NS + MS, 2 * MS)
    if stop_ms is not None:
        stopped(writer, stop_ms * MS)
    result = measured(tmp_path, writer)
    assert extents(result) == [(0, end_ms * MS)]
    assert result.spans.cut_short.tolist() == [cut]


def test_a_device_that_the_process_only_touched_is_not_in_the_window(tmp_path: Path) -> None:
    writer = EventWriter(rank=0, device=1)
    add_kernel(writer, START_NS + 20 * MS, 4 * MS)
    writer.device = 0
    writer.activity("gpu_memset", "Memset (Device)", START_NS, 1000)
    result = measured(tmp_path, writer)
    assert (result.split.span_ns, result.split.idle_ns) == (4 * MS, 0)
    assert "1 event (1.00 µs) on GPU 0" in result.notes[0].replace("\xa0", " ")


def test_the_window_of_two_gpus_is_no_sum(tmp_path: Path) -> None:
    writer = EventWriter(rank=0)
    for device in range(2):
        writer.device = device
        add_kernel(writer, START_NS + device * MS, 3 * MS)
        writer.activity("kernel", ALL_REDUCE, START_NS + 4 * MS, 2 * MS)
    split = measured(tmp_path, writer).split
    assert (split.span_ns, split.compute_ns, split.exposed_comm_ns, split.idle_ns) == (6 * MS, 3 * MS, 2 * MS, MS)


def test_a_request_that_was_cut_is_named(tmp_path: Path) -> None:
    writer = EventWriter(rank=0)
    span(writer, "request", 0, 18 * MS)
    writer.host_span("user_annotation", "gloo:all_reduce", START_NS + MS, 2 * MS)
    stopped(writer, 10 * MS)
    (tmp_path / "run").mkdir()
    write_document(tmp_path / "run" / "rank0.json", finish(writer))
    run = analyze(tmp_path / "report", tmp_path / "run").run
    (request,) = run["requests"]
    assert (request["duration_ns"], request["cut_short"]) == (10 * MS, True)
    assert any("request was still open when the recording ended" in note for note in run["coverage"]["notes"])
