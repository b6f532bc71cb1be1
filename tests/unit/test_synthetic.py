"""The synthetic runs against plain arithmetic on their raw events: what judges others is judged first."""

import gzip
import json
from pathlib import Path
from typing import Any

from tests.synthetic import Call, Run, write_run

CALLS = (
    Call(op="broadcast", nelems=32_768, delays_ns={2: 400_000}),
    Call(op="all_gather", nelems=1 << 20, overlap_ns=100_000),
    Call(op="all_reduce", nelems=1 << 21, groups=((0, 1), (2, 3))),
)


def kernels(folder: Path, name: str) -> list[Any]:
    document = json.loads(gzip.decompress((folder / name).read_bytes()))
    return [event for event in document["traceEvents"] if event.get("cat") == "kernel"]


def starts_ns(events: list[Any], collective: str) -> list[int]:
    return [round(event["ts"] * 1000) for event in events if event["args"].get("Collective name") == collective]


def test_waits_are_in_the_files(tmp_path: Path) -> None:
    truth = write_run(tmp_path, Run(world_size=4, calls=CALLS))
    starts = [starts_ns(kernels(tmp_path, f"rank{rank}.json.gz"), "broadcast") for rank in range(4)]
    for rank in range(4):
        waits = [max(arrivals) - arrivals[rank] for arrivals in zip(*starts, strict=True)]
        assert waits == truth.waits(rank, "broadcast")
    assert truth.times_last(2) >= 4
    assert min(truth.waits(0, "broadcast")) > 380_000


def test_transfers_are_durations_less_waits(tmp_path: Path) -> None:
    truth = write_run(tmp_path, Run(world_size=4, calls=CALLS, end_jitter_ns=2_000))
    first = truth.calls[0]
    for rank in range(4):
        event = kernels(tmp_path, f"rank{rank}.json.gz")[1]
        assert round(event["dur"] * 1000) == first.wait_ns(rank) + first.transfer_ns(rank)


def test_host_clocks_shift_whole_files(tmp_path: Path) -> None:
    write_run(tmp_path / "true", Run(world_size=4, calls=CALLS))
    truth = write_run(tmp_path / "off", Run(world_size=4, calls=CALLS, host_clocks_ns=(0, 3_000_000)))
    true = kernels(tmp_path / "true", "rank3.json.gz")[0]
    names = sorted(path.name for path in (tmp_path / "off").iterdir())
    off = kernels(tmp_path / "off", names[3])[0]
    assert [name.split("_")[0] for name in names] == ["node0", "node0", "node1", "node1"]
    assert round(off["ts"] * 1000) - round(true["ts"] * 1000) == 3_000_000 == truth.ranks[3].clock_offset_ns


def test_late_window_loses_its_first_collectives(tmp_path: Path) -> None:
    whole = Run(world_size=4, calls=CALLS)
    late = Run(world_size=4, calls=CALLS, late_windows={1: 4})
    truth = write_run(tmp_path, late)
    assert len(kernels(tmp_path, "rank1.json.gz")) == truth.ranks[1].kernels
    assert truth.ranks[1].comm_kernels == whole.steps * len(CALLS) - 4
    assert truth.collectives == 4 * 12 - 4
    # Three calls of the world lose four ranks' match each, one call of the pair (0, 1) loses two.
    assert truth.matched == 4 * 12 - 3 * 4 - 2


def test_missing_rank_unmatches_its_groups_only(tmp_path: Path) -> None:
    truth = write_run(tmp_path, Run(world_size=4, calls=CALLS, missing_ranks=frozenset({3})))
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"rank{rank}.json.gz" for rank in range(3)]
    assert truth.matched == 4 * 2
    assert {call.op for call in truth.matched_calls} == {"all_reduce"}


def test_same_run_same_bytes(tmp_path: Path) -> None:
    run = Run(world_size=2, calls=CALLS[:2])
    write_run(tmp_path / "a", run)
    write_run(tmp_path / "b", run)
    assert (tmp_path / "a/rank1.json.gz").read_bytes() == (tmp_path / "b/rank1.json.gz").read_bytes()


def test_gloo_has_no_kernels(tmp_path: Path) -> None:
    write_run(tmp_path, Run(world_size=2, calls=CALLS[:1], gpu=None))
    document = json.loads(gzip.decompress((tmp_path / "rank0.json.gz").read_bytes()))
    categories = {event.get("cat") for event in document["traceEvents"]}
    assert categories == {"cpu_op", "user_annotation", None}


def test_each_end_of_a_pair_says_who_its_peer_is(tmp_path: Path) -> None:
    ring = tuple((rank, (rank + 1) % 3) for rank in range(3))
    truth = write_run(tmp_path, Run(world_size=3, steps=1, calls=(Call(op="send_recv", nelems=4096, pairs=ring),)))
    ends = [event["args"] for event in kernels(tmp_path, "rank1.json.gz") if "Collective name" in event["args"]]
    assert [(end["Collective name"], end.get("Src Rank"), end.get("Dst Rank")) for end in ends] == [
        ("recv", 0, None),
        ("send", None, 2),
    ]
    assert (truth.collectives, truth.matched) == (6, 6)


def test_uneven_parts_add_up(tmp_path: Path) -> None:
    write_run(tmp_path, Run(world_size=2, steps=1, calls=(Call(op="all_to_all", nelems=90, sent=(30, 61)),)))
    names = [f"rank{rank}.json.gz" for rank in range(2)]
    args = [event["args"] for name in names for event in kernels(tmp_path, name)]
    sent = [(a["In msg nelems"], a["Out msg nelems"], a["In split size"]) for a in args if "In msg nelems" in a]
    assert sent == [(30, 45, "[15, 15]"), (61, 46, "[30, 31]")]


def test_lost_events_are_missing_on_one_rank_only(tmp_path: Path) -> None:
    truth = write_run(tmp_path, Run(world_size=4, calls=CALLS, lost={1: frozenset({3, 4})}))
    assert len(kernels(tmp_path, "rank1.json.gz")) == truth.ranks[1].kernels
    assert truth.collectives == 4 * 12 - 2
    assert truth.matched == 4 * 12 - 8


def test_a_fast_clock_gains(tmp_path: Path) -> None:
    run = Run(world_size=2, calls=CALLS[:1], host_clocks_ns=(0, 0), host_drifts_ppm=(0, 1000))
    write_run(tmp_path, run)
    first, second = (
        starts_ns(kernels(tmp_path, f"node{rank}_{4000 + rank}.17908570{rank:02}123.pt.trace.json.gz"), "broadcast")
        for rank in range(2)
    )
    gained = (second[-1] - second[0]) - (first[-1] - first[0])
    assert abs(gained - (second[-1] - second[0]) / 1001) < 40_000
