"""nccl-tests' text and JSON become a bench's rows."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from traceana.errors import TraceanaError
from traceana.report.bench import BenchReport
from traceana.saved.bench import read_bench, write_bench

# As nccl-tests 2.19.6 printed them on two H200.
ALL_TO_ALL = """\
# nccl-tests version 2.19.6 nccl-headers=22809 nccl-library=22809
# Collective test starting: alltoall_perf
# nThread 1 nGpus 1 minBytes 1024 maxBytes 268435456 step: 4(factor) warmup iters: 10 iters: 50 agg iters: 1 validation: 1 graph: 0 unalign: 0
#
# Using devices
#  Rank  0 Group  0 Pid   1045 on         vm device  0 [0000:00:06] NVIDIA H200
#  Rank  1 Group  0 Pid   1046 on         vm device  1 [0000:00:07] NVIDIA H200
#
#                                                              out-of-place                       in-place
#       size         count      type   redop    root     time   algbw   busbw  #wrong     time   algbw   busbw  #wrong
#        (B)    (elements)                               (us)  (GB/s)  (GB/s)             (us)  (GB/s)  (GB/s)
     1048576        262144  bfloat16    none      -1    13.64   76.89   38.45       0    14.19   73.92   36.96    N/A
    16777216       4194304  bfloat16    none      -1    51.57  325.34  162.67       0    50.32  333.44  166.72    N/A
# Out of bounds values : 0 OK
"""  # noqa: E501
ALL_REDUCE = """\
# nThread 1 nGpus 2 minBytes 1024 maxBytes 268435456 step: 4(factor) warmup iters: 10 iters: 50 agg iters: 1 validation: 1 graph: 1
#
# Using devices
#  Rank  0 Group  0 Pid    734 on         vm device  0 [0x06] NVIDIA H200
#  Rank  1 Group  0 Pid    734 on         vm device  1 [0x07] NVIDIA H200
#       size         count      type   redop    root     time   algbw   busbw #wrong     time   algbw   busbw #wrong
        1024           512     float     sum      -1     7.01    0.15    0.15      0     6.46    0.16    0.16      0
        4096          2048     float     sum      -1     6.82    0.60    0.60      3     6.48    0.63    0.63      0
"""  # noqa: E501


def place(time: float, wrong: float | None = 0.0) -> dict[str, Any]:
    return {"time": time, "alg_bw": 1.0, "bus_bw": 1.0, "nwrong": wrong}


def of_json(program: str = "/opt/nccl-tests/build/all_gather_perf", **of_config: Any) -> dict[str, Any]:
    device = {"group": 0, "pid": 7, "hostname": "node1", "device": 0, "device_info": "NVIDIA H200"}
    config = {
        "nthreads": 1,
        "ngpus": 1,
        "iterations": 50,
        "graph": 0,
        "blocking_collectives": "false",
        "devices": [{"rank": rank, **device} for rank in range(2)],
    }
    result = {
        "size": 1 << 20,
        "count": 1 << 18,
        "type": "half",
        "redop": "none",
        "root": "    -1",
        "out_of_place": place(11.5),
        "out_of_place_per_iter": {"p95_us": 12.5, "p99_us": 13.0, "times_us": [11.0]},
        "in_place": place(10.5),
    }
    return {
        "version": 3,
        "args": [program, "-J", "x"],
        "nccl_version": 22809,
        "config": config | of_config,
        "results": [result],
    }


def read(folder: Path, name: str, content: str) -> BenchReport:
    path = folder / name
    path.write_text(content)
    return read_bench(path)


def test_text_gives_rows_and_leaves_out_what_in_place_cannot_be(tmp_path: Path) -> None:
    found = read(tmp_path, "log.txt", ALL_TO_ALL)
    assert found.ranks == 2
    assert found.machine == (("nccl-tests", "2.19.6"), ("NCCL", "2.28.9"), ("device", "NVIDIA H200"))
    assert [(row.op, row.message_bytes, row.dtype, row.p50_ns, row.in_place) for row in found.rows] == [
        ("all_to_all", 1 << 20, "bfloat16", 13_640, False),
        ("all_to_all", 16 << 20, "bfloat16", 51_570, False),
    ]
    assert found.rows[1].busbw_gbps == pytest.approx(162.67, rel=1e-3)


def test_older_text_takes_its_operation_from_the_files_name(tmp_path: Path) -> None:
    found = read(tmp_path, "all_reduce_2gpus.txt", ALL_REDUCE)
    # One of the four results was wrong, so its time means nothing.
    assert [(row.message_bytes, row.in_place, row.graph, row.p50_ns, row.dtype) for row in found.rows] == [
        (1024, False, True, 7_010, "float32"),
        (1024, True, True, 6_460, "float32"),
        (4096, True, True, 6_480, "float32"),
    ]
    with pytest.raises(TraceanaError, match="does not say of which test"):
        read(tmp_path, "log.txt", ALL_REDUCE)


def test_per_iteration_columns_give_p99(tmp_path: Path) -> None:
    columns = "7.01 0.15 0.15 0 6.00 9.00 8.50 3.0 6.46 0.16 0.16 0 6.00 9.00 8.25 3.0"
    text = ALL_REDUCE.partition("        1024")[0] + f"  1024 512 float sum -1 {columns}\n"
    found = read(tmp_path, "all_reduce.txt", text)
    assert [(row.p50_ns, row.p99_ns) for row in found.rows] == [(7_010, 8_500), (6_460, 8_250)]


def test_json_gives_the_same(tmp_path: Path) -> None:
    found = read(tmp_path, "site.json", json.dumps(of_json()))
    assert (found.ranks, found.machine) == (2, (("NCCL", "2.28.9"), ("device", "NVIDIA H200")))
    rows = [(row.op, row.dtype, row.in_place, row.p50_ns, row.p95_ns, row.p99_ns) for row in found.rows]
    assert rows == [
        ("all_gather", "float16", False, 11_500, 12_500, 13_000),
        ("all_gather", "float16", True, 10_500, None, None),
    ]
    four = read(tmp_path, "four.json", json.dumps(of_json(ngpus=2)))
    assert four.ranks == 4
    uneven = read(tmp_path, "uneven.json", json.dumps(of_json("alltoallv_perf")))
    assert {(row.op, row.in_place) for row in uneven.rows} == {("all_to_allv", False)}


def test_a_bench_is_read_as_it_was_written(tmp_path: Path) -> None:
    report = read(tmp_path, "log.txt", ALL_TO_ALL)
    write_bench(report, tmp_path / "bench.json")
    assert read_bench(tmp_path / "bench.json") == report
    later = msgspec.json.encode(report).replace(b'"schema_version":1', b'"schema_version":9')
    with pytest.raises(TraceanaError, match="has schema 9"):
        read(tmp_path, "later.json", later.decode())


@pytest.mark.parametrize("content", ["", "{", "{}", "[]", "nothing of the kind", '{"traceEvents": []}'])
def test_another_file_is_said_to_be_none(tmp_path: Path, content: str) -> None:
    with pytest.raises(TraceanaError, match="is no bench"):
        read(tmp_path, "other", content)


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(TraceanaError, match="cannot be read"):
        read_bench(tmp_path / "nix")


@pytest.mark.parametrize("size", ["9" * 5_000, "²"])
def test_a_size_that_no_message_has_is_one_error(tmp_path: Path, size: str) -> None:
    (tmp_path / "all_reduce.txt").write_text(ALL_REDUCE.replace("        1024 ", f"{size} "))
    with pytest.raises(TraceanaError, match="is no bench"):
        read_bench(tmp_path / "all_reduce.txt")


def test_a_bench_of_no_rank_is_one_error(tmp_path: Path) -> None:
    text = "\n".join(line for line in ALL_TO_ALL.splitlines() if "Rank" not in line)
    (tmp_path / "out.txt").write_text(text.replace("nGpus 1", "nGpus 0"))
    with pytest.raises(TraceanaError, match=r"out\.txt"):
        read_bench(tmp_path / "out.txt")
