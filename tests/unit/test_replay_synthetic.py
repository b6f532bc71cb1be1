"""Runs with planted changes: the replay gives the step that the run would have had."""

import gzip
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.analysis import analyze
from tests.commands import refused, traceana
from tests.synthetic import Call, Run, write_run
from tests.synthetic.play import MARGIN_NS
from traceana.replay.figures import read_figures
from traceana.report.bench import BenchReport, BenchRow
from traceana.saved.bench import write_bench
from traceana.units import NO_BREAK_SPACE

NEAR = 0.01
US = 1_000
ALL_TO_ALL = Call(op="all_to_all", nelems=1 << 20, transfer_ns=400 * US)
ALL_REDUCE = Call(op="all_reduce", nelems=1 << 22, transfer_ns=200 * US)
RUN = Run(
    world_size=2, calls=(ALL_TO_ALL, ALL_REDUCE), steps=6, spread_ns=2 * US, launched_ahead=True, step_pause_ns=50 * US
)


def whatif(folder: Path, *changes: str) -> Any:
    return json.loads(traceana("whatif", folder, "--workers", "1", "--format", "json", *changes))


def step_ns(folder: Path, run: Run) -> int:
    """What a run that was written so takes."""
    write_run(folder, run)
    measured: int = whatif(folder)["measured_step_ns"]
    return measured


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    write_run(folder, RUN)
    return folder


def test_unchanged_it_gives_what_was_measured(run: Path) -> None:
    found = whatif(run)
    assert found["predicted_step_ns"] == found["measured_step_ns"]
    assert found["replayed_step_ns"] == pytest.approx(found["measured_step_ns"], rel=NEAR)
    assert found["low_ns"] <= found["predicted_step_ns"] <= found["high_ns"]
    assert found["steps"] == 5


def test_transfers_scale(run: Path, tmp_path: Path) -> None:
    quick = replace(RUN, calls=(replace(ALL_TO_ALL, transfer_ns=100 * US), ALL_REDUCE))
    found = whatif(run, "--transfer", "all_to_all=0.25")
    assert found["predicted_step_ns"] == pytest.approx(step_ns(tmp_path, quick), rel=NEAR)
    assert found["measured_step_ns"] - found["predicted_step_ns"] == pytest.approx(300 * US, rel=NEAR)


def test_a_late_rank_is_as_quick_as_its_peers(tmp_path: Path) -> None:
    late = replace(RUN, world_size=4, calls=(replace(ALL_TO_ALL, delays_ns={2: 500 * US}), ALL_REDUCE))
    write_run(tmp_path / "late", late)
    found = whatif(tmp_path / "late", "--no-straggler")
    assert found["change"] == "rank 2 as quick as its peers"
    assert found["predicted_step_ns"] == pytest.approx(step_ns(tmp_path / "even", replace(RUN, world_size=4)), rel=NEAR)


def test_a_host_that_follows_its_device_launches_earlier_when_that_is_done_earlier(tmp_path: Path) -> None:
    """Every launch stands 5 µs before its kernel, whenever that was."""
    write_run(tmp_path / "as it was", replace(RUN, launched_ahead=False))
    found = whatif(tmp_path / "as it was", "--transfer", "all_to_all=0.25")
    assert found["measured_step_ns"] - found["predicted_step_ns"] == pytest.approx(300 * US, rel=NEAR)
    paused = 2 * (RUN.pause_ns - MARGIN_NS)
    found = whatif(tmp_path / "as it was", "--no-launch-gaps")
    assert found["measured_step_ns"] - found["predicted_step_ns"] == pytest.approx(paused, rel=0.1)
    late = replace(
        RUN,
        world_size=4,
        calls=(replace(ALL_TO_ALL, delays_ns={2: 500 * US}), ALL_REDUCE),
        launched_ahead=False,
    )
    write_run(tmp_path / "late", late)
    found = whatif(tmp_path / "late", "--no-straggler")
    assert found["predicted_step_ns"] == pytest.approx(
        step_ns(tmp_path / "even", replace(RUN, world_size=4, launched_ahead=False)), rel=NEAR
    )


def test_bench_figures_take_the_transfers_place(run: Path, tmp_path: Path) -> None:
    figures = tmp_path / "bench.json"
    rows = [bench_row("pynccl", size, 200 * US) for size in (1 << 20, 1 << 22)]
    write_bench(bench_of(*rows, bench_row("torch", 1 << 20, 1)), figures)
    found = whatif(run, "--backend-from", f"{figures}:pynccl")
    assert found["measured_step_ns"] - found["predicted_step_ns"] == pytest.approx(200 * US, rel=NEAR)
    (note,) = found["notes"]
    assert note.startswith("all_reduce 8")
    assert note.endswith("pynccl's all_reduce was not measured")
    assert "for one of pynccl, torch" in refused("whatif", run, "--backend-from", figures)
    assert "no backend nccl" in refused("whatif", run, "--backend-from", f"{figures}:nccl")
    assert "is no bench" in refused("whatif", run, "--backend-from", run / "rank0.json.gz")


def test_a_backend_and_a_file_may_have_colons_in_their_names(tmp_path: Path) -> None:
    path = tmp_path / "12:30.json"
    write_bench(bench_of(bench_row("pynccl:ring/ll", 1 << 20, 100), bench_row("torch", 1 << 20, 1)), path)
    assert read_figures(f"{path}:pynccl:ring/ll").backend == "pynccl:ring/ll"
    assert read_figures(f"{path}:torch").backend == "torch"


def test_bench_figures_are_interpolated_on_logarithms_and_never_beyond_what_was_measured(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    in_graph = msgspec.structs.replace(bench_row("torch", 1 << 22, 1), graph=True)
    write_bench(bench_of(bench_row("torch", 1 << 20, 100), bench_row("torch", 1 << 22, 400), in_graph), path)
    figures = read_figures(str(path))
    assert figures.at("all_to_all", 1 << 22, 2) == (400, 396, 404)
    between = figures.at("all_to_all", 1 << 21, 2)
    assert not isinstance(between, str)
    assert between[0] == pytest.approx(200)
    assert figures.at("all_to_all", 1 << 23, 2) == f"measured from 1{NO_BREAK_SPACE}MiB to 4{NO_BREAK_SPACE}MiB only"
    assert figures.at("all_to_all", None, 2) == "its size is not known"
    assert figures.at("all_to_all", 1 << 20, 4) == "measured over 2 ranks, and its group has 4"
    assert figures.at("all_reduce", 1 << 20, 2) == "torch's all_reduce was not measured"


def bench_of(*rows: BenchRow) -> BenchReport:
    return BenchReport(ranks=2, machine=(), backends=(), rows=rows, verdicts=(), crossovers=(), not_measured=())


def bench_row(backend: str, message_bytes: int, p50_ns: int) -> BenchRow:
    return BenchRow(
        op="all_to_all",
        message_bytes=message_bytes,
        dtype="bfloat16",
        backend=backend,
        graph=False,
        in_place=False,
        calls=20,
        p50_ns=p50_ns,
        p95_ns=None,
        p99_ns=None,
        algbw_gbps=1.0,
        busbw_gbps=1.0,
        launch_ns=None,
        blocks_ns=(p50_ns * 99 // 100, p50_ns, p50_ns * 101 // 100),
        checked=True,
    )


def test_an_operation_beside_compute(run: Path) -> None:
    """Only the next call waits for it: each all_to_all hides under the compute before the all_reduce."""
    found = whatif(run, "--overlap", "all_to_all")
    hidden = RUN.compute_ns
    assert found["measured_step_ns"] - found["predicted_step_ns"] == pytest.approx(hidden, rel=0.05)


def test_without_a_change_it_says_what_would_help(run: Path) -> None:
    found = whatif(run)
    assert found["helps"][0]["change"] in ("all_to_all beside compute", "all_reduce beside compute")
    assert "saves" in traceana("whatif", run)


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (replace(RUN, gpu=None), "no GPU's work"),
        (replace(RUN, missing_ranks=frozenset({1})), "the traces of ranks 1 are missing"),
        (replace(RUN, steps=1), "no steps are known"),
        (
            replace(RUN, lost={1: frozenset(range(0, 12, 2))}),
            "of its communication is matched across ranks",
        ),
    ],
)
def test_what_the_run_does_not_tell_is_not_known(tmp_path: Path, made: Run, reason: str) -> None:
    write_run(tmp_path, made)
    message = refused("whatif", tmp_path, "--no-straggler")
    assert "is not known" in message
    assert reason in message
    assert message.count("\n") == 1


def test_gpu_work_without_its_launch_is_not_known(tmp_path: Path) -> None:
    write_run(tmp_path, RUN)
    for file in tmp_path.glob("*.gz"):
        trace = gzip.decompress(file.read_bytes())
        file.write_bytes(gzip.compress(re.sub(rb'"correlation": \d+', b'"correlation": 0', trace)))
    assert "of its GPU work has its launch in the trace" in refused("whatif", tmp_path, "--no-launch-gaps")


def test_one_run_is_asked_for(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_run(tmp_path / name, RUN)
    assert "holds 2 runs (a, b); name the folder of one of them" in refused("whatif", tmp_path)


def test_what_the_run_has_not_cannot_be_changed(run: Path) -> None:
    assert "the run's are all_reduce, all_to_all" in refused("whatif", run, "--overlap", "all_gather")
    assert "write OP=FACTOR" in refused("whatif", run, "--transfer", "all_to_all")
    assert "write OP=FACTOR" in refused("whatif", run, "--transfer", "all_to_all=-1")


def test_the_report_has_what_would_help(run: Path, tmp_path: Path) -> None:
    report = analyze(tmp_path, run).run
    assert report["what_if"] == whatif(run)["helps"]
    assert report["what_if_unknown"] is None
