"""Gloo's calls, found by their time, and what the flight recorder and the operators around them tell."""

from typing import Any

import pytest
from traceana_capture.launcher import flight
from traceana_capture.launcher.flight import Entry, Group
from traceana_capture.launcher.host_calls import Note, annotate_host
from traceana_capture.launcher.modules import Places

BASE = 1_790_000_000_000_000_000
GROUP = {"Group size": 2, "Process Group Name": "0"}
GROUPS = {"0": Group(keys=GROUP, numbered=True), "both": Group(keys=GROUP, numbered=False)}


def span(ts: float, name: str = "gloo:all_reduce", **other: Any) -> dict[str, Any]:
    return {"ph": "X", "cat": "user_annotation", "name": name, "pid": 4, "tid": 5, "ts": ts, "dur": 3} | other


def operator(ts: float, name: str = "c10d::allreduce_", dur: float = 3) -> dict[str, Any]:
    return span(ts, name, cat="cpu_op", tid=4, dur=dur)


def note(elements: int, begin: int, returned: int, *, begun: bool = True, word: str = "allreduce") -> Note:
    full = {"Collective name": word, "dtype": "Float", "In msg nelems": elements, **GROUP}
    return Note(record=full, thread=1, begin_ns=BASE + begin, returned_ns=BASE + returned, begun=begun)


def entry(
    at: int, sizes: tuple[list[list[int]], list[list[int]]], title: str = "gloo:all_reduce", **other: Any
) -> Entry:
    known: dict[str, Any] = {
        "time_created_ns": BASE + at,
        "thread_id": "1",
        "profiling_name": title,
        "process_group": ("0", "default_pg"),
        "collective_seq_id": 8,
        "is_p2p": False,
        "input_dtypes": ["Float"],
        "output_dtypes": ["Float"],
    }
    return Entry(**known | {"input_sizes": sizes[0], "output_sizes": sizes[1]} | other)


def annotated(events: list[dict[str, Any]], notes: list[Note], entries: list[Entry]) -> list[dict[str, Any]]:
    trace = {"baseTimeNanoseconds": BASE, "traceEvents": list(events)}
    annotate_host(trace, notes, entries, GROUPS, Places([], [], BASE))
    found: list[dict[str, Any]] = trace["traceEvents"]  # type: ignore[assignment]
    return found


def test_a_call_on_the_host_is_found_by_its_time() -> None:
    # The second began before the window; one that begins within a clock's error is the call's; the last is late.
    spans = [span(9.5), span(5), span(31), span(90)]
    notes = [note(1, 10_000, 20_000), note(2, 30_000, 40_000), note(3, 50_000, 60_000)]
    late, stranger = note(4, 70_000, 71_000, begun=False), note(5, 10_000, 20_000)
    del stranger.record["Group size"]
    found = annotated(spans, [*notes, late, stranger], [])
    assert [s.get("args", {}).get("In msg nelems") for s in spans] == [1, None, 2, 4]
    assert found[4:] == [span(50, "gloo:allreduce") | {"tid": 4, "dur": 10, "args": notes[2].record}]


def test_a_call_of_cs_own_is_described_by_the_recorder_and_named_by_its_operator() -> None:
    mine, theirs = span(12), span(33)
    recorded = [entry(11_000, ([[1]], [[1]]), collective_seq_id=3), entry(31_000, ([[4, 2]], [[4, 2]]))]
    operators = [operator(10.5), operator(30, "c10d::_reduce_scatter_base_")]
    annotated([mine, theirs, *operators], [note(1, 10_000, 20_000)], recorded)
    assert (mine["args"]["In msg nelems"], mine["args"]["Seq"]) == (1, 2)
    record = {"Collective name": "_reduce_scatter_base", "dtype": "Float", "In msg nelems": 8, "Out msg nelems": 4}
    assert theirs["args"] == record | GROUP | {
        "traceana backend": "torch.distributed",
        "traceana library": "gloo",
        "Seq": 7,
    }


def test_a_span_goes_to_a_call_of_its_kind() -> None:
    sum_, gather = span(20), span(21, "gloo:all_gather")
    recorded = [entry(11_000, ([[6]], [[1, 6]]), "gloo:all_gather"), entry(15_000, ([[2]], [[2]]))]
    operators = [operator(10, "c10d::allgather_into_tensor_coalesced_"), operator(14)]
    annotated([sum_, gather, *operators], [], recorded)
    assert (sum_["args"]["In msg nelems"], gather["args"]["In msg nelems"]) == (2, 6)
    assert gather["args"]["Out msg nelems"] == 12


def test_a_send_is_told_from_a_collective_of_another_thread() -> None:
    sum_, receive = span(11), span(12, "gloo:recvAnySource")
    annotated([sum_, receive], [note(5, 10_000, 15_000, word="recv"), note(6, 10_500, 20_000)], [])
    assert (sum_["args"]["In msg nelems"], receive["args"]["In msg nelems"]) == (6, 5)


def test_a_monitored_barrier_is_a_barrier_though_gloo_sends_for_it() -> None:
    inside, outside = span(12, "gloo:recv", tid=4), span(40, "gloo:recv", tid=4)
    annotated([operator(10, "c10d::monitored_barrier_", dur=20), inside, outside], [], [])
    assert inside["args"] == {"Collective name": "barrier", "In msg nelems": 0, "Out msg nelems": 0}
    assert "args" not in outside


def test_a_reduce_scatter_of_a_list_is_an_all_reduce_for_each_part() -> None:
    parts = [span(12), span(13)]
    recorded = [entry(11_000, ([[2]], [[2]])), entry(11_100, ([[2]], [[2]]), collective_seq_id=9)]
    annotated([operator(10, "c10d::reduce_scatter_"), *parts], [], recorded)
    found = [(s["args"]["Collective name"], s["args"]["In msg nelems"], s["args"]["Out msg nelems"]) for s in parts]
    assert found == [("allreduce", 2, 2)] * 2


@pytest.mark.parametrize(
    ("events", "other"),
    [([], {}), ([operator(10)], {"process_group": ("gone", "")}), ([operator(10, "c10d::send")], {})],
)
def test_what_the_trace_does_not_show_is_not_made_up(events: list[dict[str, Any]], other: dict[str, Any]) -> None:
    """Extra calls of --paired, those of threads that are not recorded, and of groups that are gone."""
    found = annotated([span(12), *events], [], [entry(11_000, ([[1]], [[1]]), **other)])
    assert [event for event in found if "args" in event] == []


def test_numbers_of_a_group_with_two_backends_are_left_out() -> None:
    mine = span(12)
    annotated([mine, operator(10)], [], [entry(11_000, ([[1]], [[1]]), process_group=("both", ""))])
    assert "Seq" not in mine["args"]


@pytest.mark.parametrize(
    ("word", "sizes", "expected"),
    [
        ("scatter", ([], [[3]]), (6, 3)),
        ("gather", ([[3]], []), (3, 6)),
        ("allgather", ([[1]], [[2, 1]]), (1, 2)),
        ("allreduce_coalesced", ([[2], [3, 2]], [[2], [3, 2]]), (8, 8)),
        ("all_to_all", ([[5, 2]], [[3, 2]]), (10, 6)),
        ("_reduce_scatter_base", ([[8]], [[8]]), (8, 4)),
        ("barrier", ([], []), (0, 0)),
    ],
)
def test_elements_are_those_of_nccls_calls(word: str, sizes: tuple[Any, Any], expected: tuple[int, int]) -> None:
    record = flight.record(entry(0, sizes), word, GROUPS["0"])
    assert (record["In msg nelems"], record["Out msg nelems"]) == expected


@pytest.mark.parametrize("content", [None, b"", b"[]", b'{"entries": [{"time_created_ns": "x"}]}'])
def test_another_torchs_recorder_tells_nothing(tmp_path: Any, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "1.flight").write_bytes(content)
    assert flight.read(tmp_path / "1.flight", 0, BASE) == []


SPANS = [
    span(0, "DistributedDataParallel.forward", tid=4, dur=5),
    span(10, "autograd::engine::evaluate_function: torch::autograd::AccumulateGrad", cat="cpu_op", tid=4, dur=10),
    span(30, "autograd::engine::evaluate_function: MmBackward0", cat="cpu_op", tid=4, dur=10),
    span(50, "FSDP::all_gather (0)", tid=4, dur=10),
    span(70, "nn.Module: Linear_1", cat="python_function", tid=4, dur=10),
    span(90, "aten::mm", cat="cpu_op", tid=4, dur=10),
]


@pytest.mark.parametrize(
    ("at", "dtype", "site"),
    [
        (11, "Float", "backward, DDP bucket"),
        (11, "Int", "backward"),
        (31, "Float", "backward"),
        (51, "Float", "FSDP::all_gather (0)"),
        (71, "Float", "Linear_1"),
        (91, "Float", None),
    ],
)
def test_a_call_is_issued_by_what_was_open_on_its_thread(at: int, dtype: str, site: str | None) -> None:
    mine = span(at + 3)
    recorded = [entry(at * 1000 + 500, ([[1]], [[1]]), input_dtypes=[dtype])]
    annotated([*SPANS, operator(at), mine], [], recorded)
    assert mine["args"].get("traceana site") == site
