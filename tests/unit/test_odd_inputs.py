"""What no trace, report or log should hold, and some do: one line for it, and the rest stands."""

import json
import os
import shutil
from pathlib import Path

import pytest
from traceana_capture.launcher.nccl_log import read_log

from tests.analysis import Outcome, analyze
from tests.synthetic import Call, Run, write_run
from tests.traces import base
from traceana.commands.edges import parse_edges
from traceana.errors import TraceanaError
from traceana.plain import plain
from traceana.trace.header import decode_header
from traceana.trace.paired import read_paired_calls
from traceana.trace.perf_dump import find_perf_dump

RUN = Run(world_size=2, calls=(Call(op="all_reduce", nelems=4096),))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    write_run(tmp_path / "run", RUN)
    return tmp_path / "run"


def check_both_ranks(outcome: Outcome) -> None:
    assert outcome.exit_code == 0, outcome.stderr
    assert [rank["rank"] for rank in outcome.run["ranks"]] == [0, 1]
    assert "Traceback" not in outcome.stderr


@pytest.mark.parametrize(
    "value", ["[" * 100_000, '{"a":' * 100_000, "[" * 2_000 + "]" * 2_000, "1" * 5_000, '"\\ud83d"', "1e999"]
)
@pytest.mark.parametrize("key", ["odd", "distributedInfo", "deviceProperties", "baseTimeNanoseconds", "host_name"])
def test_a_header_with_an_odd_value_tells_the_rest(key: str, value: str) -> None:
    known = {"distributedInfo": '{"rank": 3}', "deviceProperties": '[{"name": "H"}]', "host_name": '"h"', key: value}
    header = decode_header(("{" + ", ".join(f'"{name}": {text}' for name, text in known.items()) + "}").encode())
    assert key == "distributedInfo" or header.rank == 3
    assert key in ("distributedInfo", "deviceProperties") or [device.name for device in header.devices] == ["H"]
    assert (header.host or "").isprintable()


@pytest.mark.parametrize("stated", [10**30, -(10**30), 1e30, 2**63 - 1, "9" * 5_000])
def test_a_base_time_that_no_clock_has_is_none(tmp_path: Path, stated: object) -> None:
    content = {**base.good(), "baseTimeNanoseconds": stated}
    file = tmp_path / "rank0.json"
    file.write_bytes(base.compact(content))
    (rank,) = analyze(tmp_path / "report", file).run["ranks"]
    assert (rank["span_ns"], decode_header(base.compact(content)).base_time_ns) == (base.SPAN_NS, None)


@pytest.mark.parametrize("named", [True, False])
def test_categories_of_old_torch_are_read(tmp_path: Path, named: bool) -> None:
    text = base.compact(base.good() if named else {"traceEvents": base.good()["traceEvents"]})
    for now, then in ((b"kernel", b"Kernel"), (b"cuda_runtime", b"Runtime"), (b"cpu_op", b"Operator")):
        text = text.replace(b'"cat":"%s"' % now, b'"cat":"%s"' % then)
    file = tmp_path / "rank0.json"
    file.write_bytes(text)
    run = analyze(tmp_path / "report", file).run
    (rank,), (operation,) = run["ranks"], run["operations"]
    assert (rank["compute_ns"], rank["comm_ns"], rank["span_ns"]) == (base.COMPUTE_NS, base.COMM_NS, base.SPAN_NS)
    assert (operation["op"], operation["count"], operation["message_bytes"]) == ("all_reduce", 2, 8192)


@pytest.mark.parametrize("number", ["1e308", "-1e308", "1e300", "3e13"])
def test_a_perf_dump_of_more_than_a_century_is_none(tmp_path: Path, run: Path, number: str) -> None:
    for text in (
        f'{{"total_duration_ms": {number}, "steps": []}}',
        f'{{"total_duration_ms": 1, "steps": [{{"name": "x", "duration_ms": {number}}}]}}',
        f'{{"total_duration_ms": 1, "steps": [], "memory_checkpoints": {{"a": {{"peak_mb": {number}}}}}}}',
    ):
        (run / "perf.json").write_text(text)
        assert find_perf_dump(run / "perf.json") is None
    outcome = analyze(tmp_path / "report", run)
    check_both_ranks(outcome)
    assert [line for line in outcome.stderr.splitlines() if "perf.json" in line]


def test_damaged_lines_of_paired_calls_are_left_out_and_counted(tmp_path: Path, run: Path) -> None:
    call = {"op": "all_reduce", "message_bytes": 4, "dtype": "float32", "ranks": [0, 1], "number": 0, "first": "torch"}
    good = json.dumps(call | {"torch_ns": 5, "pynccl_ns": 6, "agree": True}).encode()
    odd = (
        b'{"op":"\xff\xfe"}',
        good.replace(b"all", b"a\xffl"),
        good.replace(b"5", b"9" * 400),
        good[:30],
        b"[" * 9_999,
    )
    (run / "paired.rank0.jsonl").write_bytes(b"\n".join([good, *odd, b"", good]))
    (run / "paired.rank1.jsonl").mkdir()
    found = read_paired_calls(run)
    assert len(found.calls) == 2
    assert found.left_out[0] == "paired.rank0.jsonl: 5 of 7 calls on both backends are damaged and left out"
    assert "paired.rank1.jsonl: cannot be read" in found.left_out[1]
    outcome = analyze(tmp_path / "report", run)
    check_both_ranks(outcome)
    assert outcome.stderr.count("paired.rank") == 2


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["a pipe", "a folder"])
@pytest.mark.parametrize("name", ["rank2.json", "run.json", "paired.rank0.jsonl", "../run.json", "../run-perf.json"])
def test_what_is_no_file_is_not_waited_for(tmp_path: Path, run: Path, make, name: str) -> None:  # type: ignore[no-untyped-def]
    make(run / name)
    outcome = analyze(tmp_path / "report", run)
    check_both_ranks(outcome)
    lines = [line for line in outcome.stderr.splitlines() if name in line]
    assert len(lines) == (name in ("rank2.json", "paired.rank0.jsonl"))
    assert all("no regular file" in line for line in lines)


def test_a_folder_that_is_called_as_a_trace_may_be_a_run(tmp_path: Path, run: Path) -> None:
    shutil.move(run, tmp_path / "all" / "rank2.json")
    check_both_ranks(analyze(tmp_path / "report", tmp_path / "all"))


def test_a_folder_whose_name_is_no_utf8_has_a_report(tmp_path: Path, run: Path) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/r\xff\xfe\x1b[31m"))
    shutil.move(run, odd)
    (odd / os.fsdecode(b"rank7\xff.json")).write_bytes(b"no trace")
    outcome = analyze(tmp_path / "report", odd)
    check_both_ranks(outcome)
    assert outcome.run["label"] == "r\\xff\\xfe?[31m"
    assert "rank7\\xff.json" in outcome.stderr
    lines = [*outcome.stdout.splitlines(), *outcome.stderr.splitlines()]
    assert lines == [plain(line) for line in lines]


@pytest.mark.parametrize("text", ["²MiB", "1MiB,²", "٣MiB", "9" * 5_000, "9" * 400 + "GiB", "", "MiB", "1e3"])
def test_a_size_that_is_none_is_told_in_a_line(text: str) -> None:
    with pytest.raises(TraceanaError, match="--buckets"):
        parse_edges(text)


@pytest.mark.parametrize("number", ["9" * 5_000, "²", "-1"])
def test_numbers_that_nccl_never_wrote_are_no_numbers(number: str) -> None:
    lines = [
        f"NCCL INFO Channel {number}/0 : 0[0] -> 1[1] via P2P/CUMEM",
        f"NCCL INFO {number} coll channels",
        f"AllReduce: {number} Bytes -> Algo {number} proto {number}",
        "NCCL INFO Channel 01/0 : 0[0] -> 1[1] via P2P/CUMEM",
    ]
    log = read_log(lines, rank=0, file="")
    assert (log.transports, log.channels.get("coll", 1)) == ({"P2P/CUMEM": (1,)}, 1)
