"""Which files are ranks, which folders are one run, and which files of one rank are windows of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.analysis import Outcome, analyze
from tests.synthetic import Call, Run, write_run
from tests.synthetic.kineto import Event
from tests.traces import base

CALLS = (Call(op="all_reduce", nelems=4096),)
SECOND_NS = 1_000_000_000
FRONT_END: Event = {"traceEvents": [{"ph": "X", "cat": "cpu_op", "name": "aten::empty", "ts": 1, "dur": 2}]}
FOREIGN: dict[str, tuple[Event | list[Any], str]] = {
    "viztracer": (
        {"traceEvents": [{"ph": "X", "cat": "FEE", "name": "main", "ts": 1.0, "dur": 5.0}], "viztracer_metadata": {}},
        "VizTracer",
    ),
    "front-end": (FRONT_END, "front end"),
    "nccl-profiler": (
        [{"name": "Group API", "cat": "GROUP_API", "ph": "b", "id": 1, "ts": 12.0}, {}],
        "NCCL's profiler",
    ),
    "ascend": (
        [
            {"name": "process_name", "ph": "M", "pid": 2, "args": {"name": "Ascend Hardware"}},
            {"name": "aten::mm", "cat": "cpu_op", "ph": "X", "pid": 1, "ts": "1.0", "dur": 3.0},
        ],
        "Ascend",
    ),
    "other-program": (
        {"traceEvents": [{"ph": "X", "cat": "v8", "name": "run", "ts": 1.0, "dur": 5.0}]},
        "another program",
    ),
    "no-events": ({"traceEvents": []}, "holds no whole event"),
    "execution-trace": ({"schema": "1.1.1-chakra.0.0.4", "nodes": [{"id": 1}]}, "execution trace"),
}


def good(rank: int, *, world_size: int = 2, start_ns: int = base.START_NS, **header: object) -> Event:
    content = base.good(rank=rank, start_ns=start_ns)
    info = content["distributedInfo"]
    assert isinstance(info, dict)
    info["world_size"] = world_size
    return {**content, **header}


def without_info(content: Event) -> Event:
    return {key: value for key, value in content.items() if key != "distributedInfo"}


def write(path: Path, content: Event | list[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = json.dumps(content).encode()
    path.write_bytes(base.packed(data) if path.suffix == ".gz" else data)


def ranks(run: Any) -> list[int]:
    return [rank["rank"] for rank in run["ranks"]]


def files(run: Any) -> list[str]:
    return [rank["file"] for rank in run["ranks"]]


def check_refused(outcome: Outcome, *words: str) -> None:
    assert outcome.exit_code == 2
    (line,) = outcome.stderr.splitlines()
    assert all(word in line for word in words), line


@pytest.mark.parametrize("kind", FOREIGN)
@pytest.mark.parametrize("name", ["result.json", "et_rank1.json.gz"])
def test_a_file_that_is_no_rank_is_passed_over(tmp_path: Path, kind: str, name: str) -> None:
    content, word = FOREIGN[kind]
    folder = tmp_path / "run"
    write_run(folder, Run(world_size=2, calls=CALLS))
    write(folder / name, content)
    outcome = analyze(tmp_path / "report", folder)
    assert ranks(outcome.run) == [0, 1]
    assert outcome.run["coverage"]["failed_files"] == []
    (note,) = outcome.report["passed_over"]
    assert name in note
    assert kind == "front-end" or word in note


@pytest.mark.parametrize("kind", FOREIGN)
def test_alone_one_line_says_what_it_is(tmp_path: Path, kind: str) -> None:
    content, word = FOREIGN[kind]
    write(tmp_path / "result.json", content)
    check_refused(analyze(tmp_path / "report", tmp_path / "result.json"), "result.json", word)
    check_refused(analyze(tmp_path / "report", tmp_path), "result.json", word)


@pytest.mark.parametrize("label", ["[TP00-DP00-PP00-EP00] 1", "[TP01] 0", "rank 0: 17"])
@pytest.mark.parametrize("name", ["merged-1700000000.5.trace.json.gz", "all.json"])
def test_a_merge_of_ranks_is_no_rank(tmp_path: Path, label: str, name: str) -> None:
    folder = tmp_path / "run"
    write_run(folder, Run(world_size=2, calls=CALLS))
    merge = good(0)
    events = merge["traceEvents"]
    assert isinstance(events, list)
    write(folder / name, {**merge, "traceEvents": [{**event, "pid": label} for event in events]})
    outcome = analyze(tmp_path / "report", folder)
    assert ranks(outcome.run) == [0, 1]
    (note,) = outcome.report["passed_over"]
    assert f"{name}: is a merge of several ranks" in note
    check_refused(analyze(tmp_path / "alone", folder / name), name, "merge of several ranks")


def test_named_files_that_are_no_ranks_do_not_cost_the_others(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    write_run(folder, Run(world_size=2, calls=CALLS))
    write(folder / "result.json", FOREIGN["viztracer"][0])
    outcome = analyze(tmp_path / "report", *sorted(folder.iterdir()))
    assert ranks(outcome.run) == [0, 1]
    assert len(outcome.report["passed_over"]) == 1


@pytest.mark.parametrize("packed", [".json", ".json.gz"])
@pytest.mark.parametrize("odd", [{}, {"backend": 5, "pg_config": {"0": "all"}, "nccl_version": None, "pg_count": "x"}])
def test_a_rank_is_found_behind_the_events_and_beside_odd_fields(
    tmp_path: Path, packed: str, odd: dict[str, object]
) -> None:
    for name, rank in (("a", 1), ("b", 0)):
        content = good(rank)
        info, events = content.pop("distributedInfo"), content.pop("traceEvents")
        assert isinstance(info, dict)
        write(
            tmp_path / "run" / f"worker_{name}{packed}",
            {"traceEvents": events, **content, "distributedInfo": info | odd},
        )
    assert files(analyze(tmp_path / "report", tmp_path / "run").run) == [f"worker_b{packed}", f"worker_a{packed}"]


def test_a_cut_file_keeps_its_rank_behind_a_damaged_header(tmp_path: Path) -> None:
    for name, rank in (("a", 1), ("b", 0)):
        data = base.compact(good(rank)).replace(b'"deviceProperties":[{', b'"deviceProperties":[{"note":"\\x",', 1)
        write(tmp_path / "run" / f"{name}.json", {})
        (tmp_path / "run" / f"{name}.json").write_bytes(data[:-400])
    assert files(analyze(tmp_path / "report", tmp_path / "run").run) == ["b.json", "a.json"]


@pytest.mark.parametrize(
    "names",
    [
        ("170000000000.5-TP-0.trace.json.gz", "170000000000.5-TP-1.trace.json.gz"),
        ("trace_rank[0].json", "trace_rank[1].json"),
        ("r0-17.json", "r1-17.json"),
        ("global_rank0-local_rank0.json", "global_rank1-local_rank0.json"),
        ("trace0.json", "trace1.json"),
    ],
)
def test_a_rank_comes_from_the_number_that_differs(tmp_path: Path, names: tuple[str, str]) -> None:
    for rank, name in enumerate(names):
        write(tmp_path / "run" / name, without_info(good(rank)))
    assert files(analyze(tmp_path / "report", tmp_path / "run").run) == list(names)


def test_one_file_whose_rank_is_not_known_is_left_out_by_name(tmp_path: Path) -> None:
    for rank in range(2):
        write(tmp_path / "run" / f"rank{rank}.json", good(rank))
    write(tmp_path / "run" / "who.json", without_info(good(1)))
    run = analyze(tmp_path / "report", tmp_path / "run").run
    assert ranks(run) == [0, 1]
    (failed,) = run["coverage"]["failed_files"]
    assert "who.json: its rank is not known" in failed


@pytest.mark.parametrize(
    "folders", [("node0", "node1"), ("gpu-a/traces", "gpu-b/traces"), ("x/node0/y/z", "x/node1/y/z")]
)
def test_a_folder_a_node_is_one_run(tmp_path: Path, folders: tuple[str, str]) -> None:
    for rank in range(4):
        write(tmp_path / "all" / folders[rank // 2] / f"rank{rank}.json", good(rank, world_size=4))
    for paths in ([tmp_path / "all"], [tmp_path / "all" / folder for folder in folders]):
        run = analyze(tmp_path / "report", *paths).run
        assert (ranks(run), run["world_size"], run["missing_ranks"]) == ([0, 1, 2, 3], 4, [])
        assert any("parts of one run" in note for note in run["coverage"]["notes"])
        hosts = [rank["host"] for rank in run["ranks"]]
        names = ["gpu-a", "gpu-b"] if "gpu" in folders[0] else ["node0", "node1"]
        assert hosts == [names[0], names[0], names[1], names[1]]


def test_a_run_json_above_the_folders_is_theirs(tmp_path: Path) -> None:
    for rank in range(2):
        write(tmp_path / "all" / f"rank_{rank}" / "trace.json", good(rank))
    (tmp_path / "all" / "run.json").write_text(json.dumps({"label": "torch", "versions": {"torch": "2.11.0"}}))
    run = analyze(tmp_path / "report", tmp_path / "all").run
    assert (run["label"], run["versions"][-1]) == ("torch", ["torch", "2.11.0"])


@pytest.mark.parametrize("stated", [True, False])
def test_a_folder_a_rank_is_one_run(tmp_path: Path, stated: bool) -> None:
    for rank in range(3):
        content = good(rank, world_size=3)
        write(tmp_path / "all" / f"rank_{rank}" / "worker.json", content if stated else without_info(content))
    outcome = analyze(tmp_path / "report", tmp_path / "all")
    assert (ranks(outcome.run), outcome.run["label"]) == ([0, 1, 2], "all")


@pytest.mark.parametrize("worlds", [(2, 2), (4, 8)])
def test_folders_of_other_worlds_stay_runs_of_their_own(tmp_path: Path, worlds: tuple[int, int]) -> None:
    for folder, world_size in enumerate(worlds):
        for rank in range(2):
            number = rank + 2 * folder * (world_size > 2)
            write(tmp_path / "all" / f"node{folder}" / f"rank{number}.json", good(number, world_size=world_size))
    assert len(analyze(tmp_path / "report", tmp_path / "all").report["runs"]) == 2


def test_folders_of_the_same_ranks_stay_runs_of_their_own(tmp_path: Path) -> None:
    for folder in ("old", "new"):
        for rank in range(2):
            write(tmp_path / "all" / folder / f"rank{rank}.json", good(rank, world_size=4))
    assert len(analyze(tmp_path / "report", tmp_path / "all").report["runs"]) == 2


def test_iterations_stay_runs_of_their_own(tmp_path: Path) -> None:
    for rank in range(2):
        write(tmp_path / "all" / f"iteration_{rank}0" / f"rank{rank}.json", good(rank))
    assert len(analyze(tmp_path / "report", tmp_path / "all").report["runs"]) == 2


def test_windows_in_a_folder_a_rank(tmp_path: Path) -> None:
    for window in range(2):
        for rank in range(2):
            content = good(rank, start_ns=base.START_NS + window * SECOND_NS)
            write(tmp_path / "all" / f"rank{rank}" / f"trace_{window}.json", content)
    assert windows(analyze(tmp_path / "report", tmp_path / "all")) == {"all trace_0": [0, 1], "all trace_1": [0, 1]}


def test_runs_an_hour_apart_stay_runs_of_their_own(tmp_path: Path) -> None:
    for rank in range(2):
        start_ns = base.START_NS + rank * 3601 * SECOND_NS
        write(tmp_path / "all" / f"try{rank}" / "trace.json", good(rank, start_ns=start_ns))
    assert len(analyze(tmp_path / "report", tmp_path / "all").report["runs"]) == 2


def windows(outcome: Outcome) -> dict[str, list[int]]:
    assert outcome.exit_code == 0, outcome.stderr
    return {run["label"]: ranks(run) for run in outcome.report["runs"]}


def test_windows_of_a_schedule_are_runs(tmp_path: Path) -> None:
    for window in range(3):
        for rank in range(2):
            stamp = 1_700_000_000_000_000_000 + window * SECOND_NS + rank
            content = good(rank, start_ns=base.START_NS + window * SECOND_NS)
            write(tmp_path / "run" / f"nodea_{100 + rank}.{stamp}.pt.trace.json", content)
    outcome = analyze(tmp_path / "report", tmp_path / "run")
    assert windows(outcome) == {f"run window {number}": [0, 1] for number in (1, 2, 3)}
    assert files(outcome.report["runs"][1]) == [
        "nodea_100.1700000001000000000.pt.trace.json",
        "nodea_101.1700000001000000001.pt.trace.json",
    ]


def test_a_window_that_lost_a_rank_takes_none_of_another(tmp_path: Path) -> None:
    for window, rank in ((0, 0), (1, 1), (1, 0), (2, 0), (2, 1)):
        stamp = 1_700_000_000_000_000_000 + window * SECOND_NS + (1 - rank) * 5_000_000
        write(tmp_path / "run" / f"h_{100 + rank}.{stamp}.pt.trace.json", good(rank))
    assert list(windows(analyze(tmp_path / "report", tmp_path / "run")).values()) == [[0], [0, 1], [0, 1]]


@pytest.mark.parametrize(
    ("pattern", "labels"),
    [
        ("1700000000.5-TP-{rank}-{part}.trace.json.gz", {"EXTEND": "run EXTEND", "DECODE": "run DECODE"}),
        ("{part}_rank{rank}.json", {"iter_10": "run iter_10", "iter_20": "run iter_20"}),
        ("rank{rank}-{part}.json", {"step10": "run step10", "step20": "run step20"}),
    ],
)
def test_stages_and_steps_are_runs_with_their_names(tmp_path: Path, pattern: str, labels: dict[str, str]) -> None:
    for part in labels:
        for rank in range(2):
            write(tmp_path / "run" / pattern.format(rank=rank, part=part), good(rank))
    assert windows(analyze(tmp_path / "report", tmp_path / "run")) == {label: [0, 1] for label in labels.values()}


def test_a_stage_that_lost_a_rank(tmp_path: Path) -> None:
    for rank, part in ((0, "EXTEND"), (1, "EXTEND"), (0, "DECODE")):
        write(tmp_path / "run" / f"1700000000.5-TP-{rank}-{part}.trace.json.gz", good(rank))
    assert windows(analyze(tmp_path / "report", tmp_path / "run")) == {"run DECODE": [0], "run EXTEND": [0, 1]}


def test_a_packed_copy_counts_once(tmp_path: Path) -> None:
    for rank in range(2):
        for end in ("json", "json.gz"):
            write(tmp_path / "run" / f"rank{rank}.{end}", good(rank))
    outcome = analyze(tmp_path / "report", tmp_path / "run")
    assert files(outcome.run) == ["rank0.json.gz", "rank1.json.gz"]
    assert len(outcome.report["passed_over"]) == 2


def test_several_windows_of_a_stage(tmp_path: Path) -> None:
    for window in range(2):
        for part in ("EXTEND", "DECODE"):
            for rank in range(2):
                name = f"17000000{window}0.5-TP-{rank}-{part}.trace.json.gz"
                write(tmp_path / "run" / name, without_info(good(rank)))
    assert set(windows(analyze(tmp_path / "report", tmp_path / "run"))) == {
        f"run {part} window {number}" for part in ("EXTEND", "DECODE") for number in (1, 2)
    }


@pytest.mark.parametrize(
    "names", [("a.json", "b.json"), ("h_100.1700000000000000000.json", "h_101.1700000000000000001.json")]
)
def test_two_of_one_rank_that_nothing_tells_apart_are_refused(tmp_path: Path, names: tuple[str, str]) -> None:
    for name in names:
        for rank in range(2):
            write(tmp_path / "run" / f"{rank}{name}", good(rank))
    check_refused(analyze(tmp_path / "report", tmp_path / "run"), *names, "both rank 0")


def test_the_header_names_the_host(tmp_path: Path) -> None:
    for rank in range(2):
        write(tmp_path / "run" / f"rank{rank}.json", good(rank, host_name=f"gpu_node{rank}"))
    run = analyze(tmp_path / "report", tmp_path / "run").run
    assert [rank["host"] for rank in run["ranks"]] == ["gpu_node0", "gpu_node1"]


def test_a_file_cut_off_before_its_first_event_is_said_to_hold_none(tmp_path: Path) -> None:
    (tmp_path / "rank0.json").write_text('{"traceEvents": [{"ph"')
    outcome = analyze(tmp_path / "out", tmp_path / "rank0.json")
    assert outcome.exit_code == 2
    assert "holds no whole event" in outcome.stderr
