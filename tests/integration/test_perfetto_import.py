"""Every file that merge and capture write, imported by Perfetto's own trace processor: nothing lost, counts agree."""

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from traceana_capture.launcher.overlaps import separate

from tests import capturing
from tests.commands import traceana
from tests.perfetto import imported, query, skip_without_trace_processor
from tests.synthetic import Call, Run, write_run

skip_without_trace_processor()

TRACES = Path(__file__).parents[1] / "traces"
H200 = TRACES / "h200"
RUNS = sorted(path.parent for path in TRACES.glob("h[12]00/*/rank0.json.gz"))


def events_of(path: Path) -> list[dict[str, Any]]:
    data = path.read_bytes()
    events: list[dict[str, Any]] = json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)["traceEvents"]
    return events


def check(path: Path) -> None:
    """Perfetto's counts are those of the file, and it has nothing to complain about."""
    events = events_of(path)
    phases = Counter(event["ph"] for event in events)
    found = imported(path)
    assert found.errors == []
    assert found.slices == phases["X"] + phases["i"]
    assert found.tracks == len({(event["pid"], event["tid"]) for event in events if event["ph"] in "Xi"})
    assert found.flows == len(whole_arrow_ends(events))
    assert found.counters == phases["C"]


def whole_arrow_ends(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Ends of arrows that have a start; Perfetto draws one arrow an end."""
    starts = {(event["name"], event["id"]) for event in events if event["ph"] == "s"}
    return [event for event in events if event["ph"] == "f" and (event["name"], event["id"]) in starts]


@pytest.mark.parametrize("run", RUNS, ids=lambda run: f"{run.parent.name}-{run.name}")
def test_a_real_run(tmp_path: Path, run: Path) -> None:
    target = tmp_path / "all.json.gz"
    traceana("merge", run, "-o", target)
    check(target)


@pytest.mark.parametrize("run", RUNS, ids=lambda run: f"{run.parent.name}-{run.name}")
def test_a_rank_as_capture_leaves_it(tmp_path: Path, run: Path) -> None:
    trace = json.loads(gzip.decompress((run / "rank0.json.gz").read_bytes()))
    separate(trace["traceEvents"])
    target = tmp_path / "rank0.json"
    target.write_text(json.dumps(trace))
    found = imported(target)
    assert found.errors == []
    assert found.slices == sum(event["ph"] in "Xi" for event in trace["traceEvents"])


def test_two_runs_side_by_side(tmp_path: Path) -> None:
    target = tmp_path / "both.json"
    traceana("merge", H200 / "torch-2r", H200 / "pynccl-2r", "-o", target)
    check(target)
    assert imported(target).processes == [
        "collectives",
        *(
            f"rank {rank} · {run} · {device}"
            for rank in (0, 1)
            for run, device in (
                ("torch-2r", "GPU 0 · torch.distributed"),
                ("torch-2r", "CPU"),
                ("pynccl-2r", "GPU 0 · direct call"),
                ("pynccl-2r", "CPU"),
            )
        ),
    ]


def test_many_ranks_on_hosts_with_their_own_clocks(tmp_path: Path) -> None:
    calls = (
        Call(op="all_reduce", nelems=1 << 20, delays_ns={5: 900_000}, overlap_ns=100_000),
        Call(op="all_to_all", nelems=1 << 18, groups=((0, 1, 2, 3), (4, 5, 6, 7))),
    )
    run = Run(world_size=8, calls=calls, host_clocks_ns=(0, 7_000_000_000), bases_differ=True)
    truth = write_run(tmp_path / "run", run)
    target = tmp_path / "all.json.gz"
    traceana("merge", tmp_path / "run", "-o", target)
    check(target)
    waits, arrows = query(
        target,
        "select sum(dur) from slice where category = 'traceana' and name = 'wait'",
        "select count(*) from flow join slice on slice.id = slice_in where name = 'transfer' and category = 'traceana'",
    )
    expected = sum(call.wait_ns(rank) for call in truth.matched_calls for rank in call.arrivals)
    # The two hosts' clocks are known through the collectives' ends alone.
    assert waits[0][0] == pytest.approx(expected, rel=0.01)
    assert arrows[0][0] == sum(len(call.arrivals) - 1 for call in truth.matched_calls)


def test_a_capture_of_gloo_and_its_merge(tmp_path: Path) -> None:
    assert capturing.run(tmp_path, capturing.workload("--steps", "2", "--start", "fork"))[0] == 0
    for rank in (0, 1):
        found = imported(tmp_path / "run" / f"rank{rank}.json.gz")
        assert found.errors == []
        phases = Counter(event["ph"] for event in events_of(tmp_path / "run" / f"rank{rank}.json.gz"))
        assert found.slices == phases["X"] + phases["i"]
    target = tmp_path / "all.json.gz"
    traceana("merge", tmp_path / "run", "-o", target)
    check(target)
    (names,) = query(target, "select distinct name from slice where category = 'traceana' and depth = 0")
    assert {name.partition(" ")[0] for (name,) in names} == {"all_to_all", "all_reduce", "all_gather", "broadcast"}


def readable() -> list[Path]:
    """Every odd and damaged file of the traces folder that a merge can read something of."""
    found = [path for path in TRACES.iterdir() if path.name.endswith((".json", ".json.gz"))]
    empty = {"empty.json", "empty.json.gz", "not-a-trace.json", "not-json.json"}
    return sorted(path for path in found if path.name not in empty)


@pytest.mark.parametrize("path", readable(), ids=lambda path: path.name)
def test_what_is_whole_of_a_damaged_file(tmp_path: Path, path: Path) -> None:
    target = tmp_path / "all.json"
    traceana("merge", path, "-o", target)
    check(target)
