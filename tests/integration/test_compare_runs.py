"""`traceana compare` on runs: sides of repeats, saved reports, the gate, and what is refused."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from msgspec.structs import replace

from tests.analysis import analyze
from tests.simulation import LARGE, Truth, side
from tests.synthetic import Call, Run, write_run
from traceana.cli import root
from traceana.comparing.comparison import compare
from traceana.comparing.sides import Side
from traceana.errors import TraceanaError
from traceana.report import Clock, Noise

COLUMNS = (
    *("rank", "start_ns", "duration_ns", "exposed_ns", "slowed_ns", "wait_ns", "transfer_ns"),
    *("matched", "collective", "seq", "step", "warm_up", "signature", "site"),
)
DUMP = Path(__file__).parent.parent / "perf_dumps" / "one-rank.json"


def write(folder: Path, seed: int, transfer_ns: int = 400_000, run_json: dict[str, Any] | None = None) -> None:
    noise = np.random.default_rng(seed).normal(0, 0.003)
    call = Call(op="all_to_all", nelems=1 << 21, transfer_ns=round(transfer_ns * np.exp(noise)))
    write_run(folder, Run(world_size=2, calls=(call, call), steps=9, end_jitter_ns=3_000, seed=seed))
    if run_json:
        (folder / "run.json").write_text(json.dumps(run_json))


def command(*words: str | Path) -> Result:
    return CliRunner().invoke(root, ["compare", *map(str, words), "--workers", "1"])


def compared(*words: str | Path) -> Any:
    done = command(*words, "--format", "json")
    assert done.exit_code == 0, done.output
    (comparison,) = json.loads(done.output)["comparisons"]
    return comparison


@pytest.fixture(scope="module")
def repeats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs a side; `new` takes a tenth longer."""
    folder = tmp_path_factory.mktemp("repeats")
    for repeat in range(1, 4):
        write(folder / f"old.{repeat}", repeat)
        write(folder / f"new.{repeat}", 10 + repeat, 440_000)
    return folder


def test_folders_that_count_are_repeats(repeats: Path) -> None:
    found = compared(repeats, "--baseline", "old")
    assert (found["baseline"], found["candidate"]) == ("old", "new")
    assert found["baseline_runs"] == ["old.1", "old.2", "old.3"]
    (row,) = found["rows"]
    assert row["verdict"] == "slower"
    assert row["speedup"] == pytest.approx(1 / 1.1, rel=0.01)
    # Two ranks, two calls in each of eight steps after the first.
    assert (row["baseline_count"], row["baseline_warm_up"]) == (3 * 32, 3 * 4)
    step = next(one for one in found["end_to_end"] if one["metric"] == "step")
    assert step["verdict"] == "slower"
    assert row["worth_ns"] == pytest.approx(-2 * 40_000, rel=0.1)
    assert found["interval_basis"] == "repeats"
    assert "Intervals are over 3 and 3 runs." in found["sentence"]


@pytest.mark.parametrize(("starts", "baseline"), [(("12:30", "12:00"), "b"), (("12:30", None), "a")])
def test_the_run_captured_first_is_the_baseline(tmp_path: Path, starts: tuple[str, str | None], baseline: str) -> None:
    """So it is the setting that one starts from; by name where a run does not tell."""
    for label, start in zip("ab", starts, strict=True):
        started = f"2026-11-26T{start}:00+00:00" if start else None
        write(tmp_path / label, ord(label), run_json={"label": label, "argv": ["x"], "started": started})
    assert compared(tmp_path)["baseline"] == baseline


@pytest.mark.parametrize(("limit", "exit_code"), [("5%", 1), ("15%", 0)])
def test_the_gate(repeats: Path, limit: str, exit_code: int) -> None:
    done = command(repeats, "--baseline", "old", "--fail-over", limit, "--metric", "all_to_all")
    assert done.exit_code == exit_code
    assert (f"over {limit}: new: all_to_all 4\xa0MiB takes" in done.output) == bool(exit_code)


@pytest.mark.parametrize("saved_first", [True, False])
def test_the_gate_takes_sides_in_the_order_given(repeats: Path, tmp_path: Path, saved_first: bool) -> None:
    """Whatever is a saved report and what traces: the first side is the baseline."""
    analyze(tmp_path / "report", *(repeats / f"{'old' if saved_first else 'new'}.{n}" for n in (1, 2, 3)))
    saved, new, old = [tmp_path / "report"], *([repeats / f"{side}.{n}" for n in (1, 2, 3)] for side in ("new", "old"))
    slower = [*saved, *new] if saved_first else [*old, *saved]
    done = command(*slower, "--fail-over", "5%", "--metric", "all_to_all")
    assert done.exit_code == 1
    assert "over 5%: new: all_to_all" in done.output
    faster = [*new, *saved] if saved_first else [*saved, *old]
    assert command(*faster, "--fail-over", "5%", "--metric", "all_to_all").exit_code == 0


def test_one_run_a_side_never_fails_the_gate_and_says_so(repeats: Path) -> None:
    done = command(repeats / "old.1", repeats / "new.1", "--fail-over", "5%", "--metric", "all_to_all")
    assert done.exit_code == 0
    assert "cannot tell, seen 0.9" in done.output
    assert "one run a side; at least" in done.output


def test_a_gain_passes_the_gate(repeats: Path) -> None:
    assert command(repeats, "--baseline", "new", "--fail-over", "1%", "--metric", "all_to_all").exit_code == 0


def test_markdown_and_text_tell_the_same(repeats: Path) -> None:
    text, markdown = command(repeats, "--baseline", "old"), command(repeats, "--baseline", "old", "--format", "md")
    for output in (text.output, markdown.output):
        assert "new against old" in output
        assert "slower" in output
        assert "0.90" in output or "0.91" in output
    assert "| all\\_to\\_all | 4\xa0MiB | slower |" in markdown.output
    # Nothing is expected of torch.distributed against itself.
    assert "| 95 % interval | saved a step |" in markdown.output


def test_a_saved_report_compares_as_its_traces_do(repeats: Path, tmp_path: Path) -> None:
    analyze(tmp_path / "old", *(repeats / f"old.{n}" for n in (1, 2, 3)))
    analyze(tmp_path / "new", *(repeats / f"new.{n}" for n in (1, 2, 3)))
    from_traces = compared(repeats, "--baseline", "old")
    assert compared(tmp_path / "old" / "report.json", tmp_path / "new") == from_traces
    mixed = compared(tmp_path / "old", *(repeats / f"new.{n}" for n in (1, 2, 3)), "--baseline", "old")
    assert mixed == from_traces


def test_a_report_against_itself_does_not_differ(repeats: Path, tmp_path: Path) -> None:
    analyze(tmp_path / "a", *(repeats / f"old.{n}" for n in (1, 2, 3)))
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    found = compared(tmp_path / "a", tmp_path / "b")
    assert found["candidate"] == f"old ({tmp_path / 'b'})"
    assert {row["verdict"] for row in found["rows"]} == {"no difference"}
    assert {row["speedup"] for row in found["rows"]} == {1.0}


def test_run_json_counts_repeats(tmp_path: Path) -> None:
    for label in ("a", "b"):
        for repeat in (1, 2):
            write(tmp_path / f"{label}-{repeat}x", repeat, run_json={"label": label, "repeat": repeat})
    found = compared(tmp_path)
    assert (found["baseline_runs"], found["candidate_runs"]) == (["a.1", "a.2"], ["b.1", "b.2"])
    assert found["interval_basis"] == "calls"


def test_a_window_that_opened_late_leaves_transfers_to_compare(tmp_path: Path) -> None:
    call = Call(op="all_reduce", nelems=1 << 21, transfer_ns=500_000, delays_ns={0: 900_000})
    for label, late in (("a", {}), ("b", {1: 2})):
        write_run(
            tmp_path / label, Run(world_size=2, calls=(call, call), steps=12, end_jitter_ns=2_000, late_windows=late)
        )
    (row,) = compared(tmp_path)["rows"]
    assert row["basis"] == "transfer"
    assert row["candidate_p50_ns"] == pytest.approx(500_000, rel=0.01)
    assert row["verdict"] == "no difference"


def test_an_operation_of_the_first_step_alone_has_a_time_and_no_verdict(tmp_path: Path) -> None:
    for label in ("a", "b"):
        write_run(tmp_path / label, Run(world_size=2, calls=(Call(op="broadcast", nelems=1 << 10),), steps=1))
    (row,) = compared(tmp_path)["rows"]
    assert (row["baseline_count"], row["baseline_warm_up"]) == (0, 2)
    assert row["baseline_p50_ns"] == 300_000
    assert row["verdict"] == "cannot tell"
    assert "without the first step" in row["reason"]


def test_versions_are_no_repeats(tmp_path: Path) -> None:
    for seed, label in enumerate(("wan2.1", "wan2.2")):
        write(tmp_path / label, seed)
    found = compared(tmp_path)
    assert (found["baseline"], found["candidate"]) == ("wan2.1", "wan2.2")


def test_dumps_beside_all_runs_do_not_make_their_folder_one_of_dumps(tmp_path: Path) -> None:
    for seed, label in enumerate(("a", "b")):
        write(tmp_path / label, seed)
        shutil.copy(DUMP, tmp_path / f"{label}.json")
    assert "perf request" in [one["metric"] for one in compared(tmp_path)["end_to_end"]]


def test_perf_dumps_in_and_beside_a_run_folder_are_read(tmp_path: Path) -> None:
    for seed, label in enumerate(("a", "b", "b-more")):
        write(tmp_path / label, seed)
    shutil.copy(DUMP, tmp_path / "a" / "perf.json")
    shutil.copy(DUMP, tmp_path / "b-perf.json")
    shutil.copy(DUMP, tmp_path / "stray.json")
    outcome = analyze(tmp_path / "report", tmp_path)
    assert outcome.exit_code == 0
    runs = {run["label"]: run["perf_dumps"] for run in outcome.report["runs"]}
    assert [len(runs[label]) for label in ("a", "b", "b-more")] == [1, 1, 0]
    assert runs["a"][0]["total_ns"] == round(json.loads(DUMP.read_text())["total_duration_ms"] * 1e6)
    assert outcome.report["passed_over"] == [f"{tmp_path / 'stray.json'}: a perf dump that belongs to no run folder"]
    comparison = next(one for one in outcome.report["comparisons"] if one["candidate"] == "b")
    assert [one["speedup"] for one in comparison["end_to_end"] if one["metric"] == "perf request"] == [1.0]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param(["old.1"], "is the only side here", id="one side"),
        pytest.param(["old.1", DUMP], "compare perf dumps with perf dumps", id="mixed kinds"),
        pytest.param(["old.1", "nowhere"], "no such file or folder", id="missing"),
        pytest.param(["old.1", "new.1", "--fail-over", "fast"], "is no percentage", id="no percentage"),
        pytest.param(
            ["old.1", "new.1", "--fail-over", "5", "--metric", "warp"], "--metric warp: not compared", id="metric"
        ),
        pytest.param(["old.1", "new.1", "--metric", "step"], "give --fail-over too", id="metric without a limit"),
        pytest.param(["old.1", "new.1", "--baseline", "no"], "--baseline no: no such run", id="baseline"),
    ],
)
def test_what_is_refused(repeats: Path, words: list[str | Path], message: str) -> None:
    arguments = [repeats / word if str(word)[:3] in ("old", "new", "now") else word for word in words]
    done = command(*arguments)
    assert isinstance(done.exception, TraceanaError)
    assert message in str(done.exception)
    assert done.exception.exit_code == 2


def test_a_report_without_its_calls_is_refused(repeats: Path, tmp_path: Path) -> None:
    analyze(tmp_path / "a", repeats / "old.1")
    (tmp_path / "a" / "collectives.parquet").unlink()
    done = command(tmp_path / "a" / "report.json", repeats / "new.1")
    assert "needs the collectives.parquet" in str(done.exception)


def noisy(found: Side, *noise: Noise) -> Side:
    return replace(found, runs=tuple(replace(run, report=replace(run.report, noise=noise)) for run in found.runs))


DRIFT = Noise(kind="drift", rank=1, change=0.2, text="rank 1: compute a step takes 20% longer")
UNEVEN = Noise(kind="uneven", rank=2, change=0.2, text="rank 2: compute a step takes 20% longer")


@pytest.mark.parametrize(
    ("repeats_a_side", "noise", "doubted"),
    [(1, DRIFT, True), (5, DRIFT, False), (1, UNEVEN, True), (5, UNEVEN, True)],
    ids=["drift in one run", "drift over repeats", "a slow rank in one run", "a slow rank over repeats"],
)
def test_noise_on_one_side_takes_the_verdict_on_steps(repeats_a_side: int, noise: Noise, doubted: bool) -> None:
    random = np.random.default_rng(4)
    truth = Truth(repeats=repeats_a_side, run_noise=0.002)
    comparison = compare(side("a", truth, random), noisy(side("b", truth, random), noise))
    (step,) = [one for one in comparison.end_to_end if one.metric == "step"]
    assert len(comparison.noise) == repeats_a_side
    assert noise.text in comparison.noise[0]
    assert (step.verdict == "cannot tell") == doubted
    # Waiting for a slow rank is no part of a transfer.
    assert all(row.reason is None or "rank" not in row.reason for row in comparison.rows)


def test_a_rank_slow_on_both_sides_is_no_doubt() -> None:
    random = np.random.default_rng(4)
    truth = Truth(run_noise=0.002)
    both = [noisy(side(label, truth, random), UNEVEN) for label in ("a", "b")]
    assert compare(*both).end_to_end[0].verdict == "no difference"


def test_clocks_of_hosts_too_coarse_for_a_transfer() -> None:
    random = np.random.default_rng(4)
    sides = [side(label, Truth(), random) for label in ("a", "b")]
    apart = Clock(method="collectives", residual_ns=30_000)
    far = replace(sides[1], runs=tuple(replace(run, report=replace(run.report, clock=apart)) for run in sides[1].runs))
    for row in compare(sides[0], far).rows:
        coarse = min(row.baseline_p50_ns, row.candidate_p50_ns) < 300_000
        assert (row.reason is not None and "clocks agree" in row.reason) == coarse
        assert row.verdict == "cannot tell" or not coarse


def without_sizes(found: Side, calls_kept: float, ops: tuple[str, ...] = ("all_to_all",)) -> Side:
    """The side with no sizes for `ops` and with the first part of all calls in order of time."""
    runs = []
    for run in found.runs:
        bare = tuple(replace(one, message_bytes=None) if one.op in ops else one for one in run.calls.signatures)
        kept = run.calls.collective < calls_kept * (run.calls.collective.max() + 1)
        columns = {name: getattr(run.calls, name)[kept] for name in COLUMNS}
        runs.append(replace(run, calls=replace(run.calls, signatures=bare, **columns)))
    return replace(found, runs=tuple(runs))


@pytest.mark.parametrize(("kept", "doubted"), [(1.0, False), (0.95, False), (0.75, True)])
def test_mixed_sizes_are_compared_only_where_the_calls_are_as_many(kept: float, doubted: bool) -> None:
    random = np.random.default_rng(4)
    a, b = (side(label, Truth(repeats=5, run_noise=0.002), random) for label in ("a", "b"))
    rows = compare(a, without_sizes(b, kept)).rows
    mixed = [row for row in rows if row.message_bytes is None]
    assert [row.op for row in mixed] == ["all_to_all"]
    assert (mixed[0].reason is not None and "sizes are unknown and mixed" in mixed[0].reason) == doubted
    assert all(row.reason is None or "unknown" not in row.reason for row in rows if row.message_bytes)


def test_sized_calls_are_not_counted_again_with_those_of_unknown_size() -> None:
    random = np.random.default_rng(4)
    sides = [side(label, Truth(), random) for label in ("a", "b")]
    whole = {(row.op, row.message_bytes): row for row in compare(*sides).rows}
    some = []
    for found in sides:
        bare = [
            tuple(
                replace(s, message_bytes=None) if s.op == "all_to_all" and s.message_bytes == LARGE else s
                for s in run.calls.signatures
            )
            for run in found.runs
        ]
        some.append(
            replace(
                found,
                runs=tuple(
                    replace(run, calls=replace(run.calls, signatures=one))
                    for run, one in zip(found.runs, bare, strict=True)
                ),
            )
        )
    rows = {(row.op, row.message_bytes): row for row in compare(*some).rows}
    assert rows["all_to_all", None].worth_ns == whole["all_to_all", LARGE].worth_ns
    assert {row.worth_ns for row in rows.values()} == {row.worth_ns for row in whole.values()}


@pytest.mark.parametrize("gone", ["old.2", "new.1"])
def test_a_repeat_without_a_rank_leaves_nothing_certain(repeats: Path, tmp_path: Path, gone: str) -> None:
    shutil.copytree(repeats, tmp_path / "runs")
    next((tmp_path / "runs" / gone).glob("rank1*")).unlink()
    found = compared(tmp_path / "runs", "--baseline", "old")
    assert f"{gone}: 1 of 2 ranks are missing" in found["reasons"]
    for one in (*found["rows"], *found["end_to_end"]):
        assert one["verdict"] == "cannot tell"
        assert one["reason"] == f"{gone} lacks rank 1, and another run has other ranks"


def test_one_rank_of_every_run_is_like_for_like(repeats: Path) -> None:
    found = compared(*sorted(repeats.glob("*/rank1*")), "--baseline", "old")
    assert [one["verdict"] for one in found["end_to_end"] if one["metric"] == "step"] == ["slower"]
    assert {row["basis"] for row in found["rows"]} == {"duration"}


def test_copies_of_a_run_are_no_repeats(repeats: Path, tmp_path: Path) -> None:
    for label in ("old", "new"):
        for number in (1, 2, 3):
            shutil.copytree(repeats / f"{label}.1", tmp_path / f"{label}.{number}")
    found = compared(tmp_path, "--baseline", "old")
    assert "old.2 is a copy of old.1, no repeat" in found["reasons"]
    assert {one["verdict"] for one in (*found["rows"], *found["end_to_end"])} == {"cannot tell"}


def test_a_run_named_twice_is_one(repeats: Path) -> None:
    again = repeats / ".." / repeats.name / "old.1"
    done = command(repeats / "old.1", repeats / "old.1", again)
    assert "old.1 is the only side here" in str(done.exception)


def test_analyze_says_the_verdict_too(repeats: Path, tmp_path: Path) -> None:
    outcome = analyze(tmp_path / "report", repeats, "--baseline", "old")
    (comparison,) = outcome.report["comparisons"]
    (said,) = [line for line in outcome.stdout.splitlines() if line and comparison["sentence"].startswith(line)]
    assert "slower than old" in said
    assert "step's speed-up" in outcome.stdout


def test_a_rank_is_missed_among_runs_of_as_many_ranks_only() -> None:
    random = np.random.default_rng(4)
    a, b = (side(label, Truth(run_noise=0.002), random) for label in ("a", "b"))
    half = [replace(run, report=replace(run.report, world_size=2)) for run in b.runs]
    assert compare(a, replace(b, runs=tuple(half))).end_to_end[0].verdict == "no difference"
    half[3] = replace(half[3], report=replace(half[3].report, missing_ranks=(1,)))
    step = compare(a, replace(b, runs=tuple(half))).end_to_end[0]
    assert step.reason == "b.4 lacks rank 1, and another run has other ranks"


def test_the_baseline_of_a_glob_is_the_run_that_was_captured_first(tmp_path: Path) -> None:
    for label, started in (("pynccl", "2026-01-02T00:00:00"), ("torch", "2026-01-01T00:00:00")):
        write(tmp_path / label, 1, run_json={"label": label, "started": started, "argv": ["a"]})
    in_order_of_names = analyze(tmp_path / "out", tmp_path / "pynccl", tmp_path / "torch")
    (comparison,) = in_order_of_names.report["comparisons"]
    assert (comparison["baseline"], comparison["candidate"]) == ("torch", "pynccl")
    assert compared(tmp_path / "pynccl", tmp_path / "torch")["baseline"] == "pynccl"
