"""`traceana analyze` on runs that are not plain NCCL: other libraries, no metadata, CPUs, hostile names, more runs."""

from pathlib import Path

import pytest

from tests.analysis import analyze, check_sums
from tests.synthetic import Call, Run, write_run

ALL_REDUCE = Call(op="all_reduce", nelems=1 << 21)
HOSTILE = ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>')


@pytest.mark.parametrize("library", ["custom", "symm_mem"])
def test_other_libraries_are_communication(tmp_path: Path, library: str) -> None:
    call = Call(op="all_reduce", nelems=1 << 16, library=library, metadata=False)
    truth = write_run(tmp_path / "run", Run(world_size=4, calls=(call,)))
    run = analyze(tmp_path / "report", tmp_path / "run").run
    check_sums(run)
    assert [rank["comm_ns"] for rank in run["ranks"]] == [truth.ranks[rank].comm_ns for rank in range(4)]
    assert {(one["op"], one["library"], one["message_bytes"]) for one in run["operations"]} == {
        ("all_reduce", library, None)
    }
    assert run["coverage"]["collectives"] == run["coverage"]["without_size"] == 16


def test_rccl_takes_its_operation_from_metadata(tmp_path: Path) -> None:
    calls = (
        Call(op="all_reduce", nelems=1 << 21, library="rccl"),
        Call(op="broadcast", nelems=1 << 10, library="rccl", metadata=False),
    )
    write_run(tmp_path / "run", Run(world_size=2, calls=calls, gpu="AMD Instinct MI300X"))
    run = analyze(tmp_path / "report", tmp_path / "run").run
    check_sums(run)
    assert {(one["op"], one["library"], one["count"]) for one in run["operations"]} == {
        ("all_reduce", "rccl", 8),
        ("unknown", "rccl", 8),
    }
    assert run["coverage"]["without_size"] == 8


def test_own_kernels_by_pattern(tmp_path: Path) -> None:
    call = Call(op="all_reduce", nelems=1 << 21, metadata=False, kernel_name="my_ring_exchange<float>(float*)")
    truth = write_run(tmp_path / "run", Run(world_size=2, calls=(call,)))
    plain = analyze(tmp_path / "plain", tmp_path / "run").run
    named = analyze(tmp_path / "named", tmp_path / "run", "--comm-kernel", "mine=my_ring_.*").run
    assert [rank["comm_kernels"] for rank in plain["ranks"]] == [0, 0]
    assert [rank["comm_ns"] for rank in named["ranks"]] == [truth.ranks[rank].comm_ns for rank in range(2)]
    assert {one["library"] for one in named["operations"]} == {"mine"}


def test_gloo_counts_host_spans(tmp_path: Path) -> None:
    calls = (ALL_REDUCE, Call(op="broadcast", nelems=1 << 10, delays_ns={1: 200_000}))
    truth = write_run(tmp_path / "run", Run(world_size=2, calls=calls, gpu=None))
    run = analyze(tmp_path / "report", tmp_path / "run").run
    check_sums(run)
    assert {rank["source"] for rank in run["ranks"]} == {"cpu"}
    assert [rank["comm_ns"] for rank in run["ranks"]] == [truth.ranks[rank].comm_ns for rank in range(2)]
    assert run["coverage"]["collectives"] == truth.collectives
    assert {one["op"]: one["count"] for one in run["operations"]} == {"all_reduce": 8, "broadcast": 8}


@pytest.mark.parametrize("dtype", ["Float8_e4m3fn", "Float", "Half", "Long", "Byte"])
def test_every_dtype_has_a_size(tmp_path: Path, dtype: str) -> None:
    call = Call(op="reduce_scatter", nelems=1 << 20, dtype=dtype)
    write_run(tmp_path / "run", Run(world_size=4, calls=(call,), steps=1))
    (operation,) = analyze(tmp_path / "report", tmp_path / "run").run["operations"]
    assert operation["message_bytes"] == call.message_bytes


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_show_as_text(tmp_path: Path, name: str) -> None:
    calls = (ALL_REDUCE, Call(op="broadcast", nelems=1 << 10, metadata=False, kernel_name=f"ncclDevKernel_{name}"))
    folder = tmp_path / name.replace("/", "_")
    write_run(folder, Run(world_size=2, calls=calls, step_name=name))
    outcome = analyze(tmp_path / "report", folder)
    assert outcome.exit_code == 0
    assert name not in outcome.html
    assert folder.name not in outcome.html
    assert name in {span["name"] for span in outcome.run["spans"]}
    assert outcome.run["label"] == folder.name


def test_steps_are_listed(tmp_path: Path) -> None:
    truth = write_run(tmp_path / "run", Run(world_size=2, calls=(ALL_REDUCE,), steps=5))
    run = analyze(tmp_path / "report", tmp_path / "run").run
    span = next(span for span in run["spans"] if span["name"] == "denoise_step")
    assert (span["count"], len(span["instances"])) == (10, 5)
    assert span["comm_ns"] == sum(rank.comm_ns for rank in truth.ranks.values())
    assert span["compute_ns"] == sum(rank.compute_ns for rank in truth.ranks.values())
    means = [instance["comm_ns"] for instance in span["instances"]]
    assert sum(means) == pytest.approx(span["comm_ns"] / 2, abs=5)


def test_a_backend_twice_as_fast(tmp_path: Path) -> None:
    for label, transfer_ns in (("slow", 400_000), ("fast", 200_000)):
        call = Call(op="all_reduce", nelems=1 << 21, transfer_ns=transfer_ns)
        write_run(tmp_path / "runs" / label, Run(world_size=4, calls=(call,), steps=20, end_jitter_ns=2_000))
    outcome = analyze(tmp_path / "report", tmp_path / "runs", "--baseline", "slow")
    (comparison,) = outcome.report["comparisons"]
    (row,) = comparison["rows"]
    assert (comparison["baseline"], comparison["candidate"], comparison["comparable"]) == ("slow", "fast", True)
    assert row["speedup"] == pytest.approx(2.0, rel=0.02)
    assert 1 < row["ci_low"] <= row["speedup"] <= row["ci_high"]
    # One run a side shows how calls differ and not how runs do.
    assert (row["verdict"], row["basis"]) == ("cannot tell", "transfer")
    assert row["reason"].startswith("seen 1.99×")
    assert "one run a side" in row["reason"]


def test_waiting_is_not_held_against_a_backend(tmp_path: Path) -> None:
    for label, delay_ns in (("even", 0), ("late", 900_000)):
        call = Call(op="all_reduce", nelems=1 << 21, delays_ns={1: delay_ns})
        write_run(tmp_path / "runs" / label, Run(world_size=2, calls=(call,), steps=20, end_jitter_ns=2_000))
    (comparison,) = analyze(tmp_path / "report", tmp_path / "runs").report["comparisons"]
    (row,) = comparison["rows"]
    assert row["speedup"] == pytest.approx(1.0, rel=0.02)


def test_runs_that_are_not_comparable_say_why(tmp_path: Path) -> None:
    write_run(tmp_path / "runs/two", Run(world_size=2, calls=(ALL_REDUCE,)))
    write_run(tmp_path / "runs/four", Run(world_size=4, calls=(ALL_REDUCE,), gpu="NVIDIA H100"))
    (comparison,) = analyze(tmp_path / "report", tmp_path / "runs").report["comparisons"]
    assert not comparison["comparable"]
    assert len(comparison["reasons"]) >= 2
    assert comparison["rows"] or comparison["only_baseline"]
