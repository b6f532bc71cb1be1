"""`traceana analyze` on every tiny file: nothing crashes, what is whole is counted, what is not is said."""

import os
import shutil
from pathlib import Path

import pytest

from tests.analysis import Outcome, analyze, check_sums
from tests.synthetic import Call, Run, write_run
from tests.traces.base import COMM_KERNELS
from tests.traces.cases import CASES, HOPELESS, Case

TRACES = Path(__file__).parents[1] / "traces"
READABLE = [case for case in CASES if not case.hopeless]
CALLS = (Call(op="all_reduce", nelems=4096, groups=((0, 1), (2, 3))), Call(op="all_gather", nelems=4096))


def name(case: Case) -> str:
    return case.file


def check_refused(outcome: Outcome, *names: str) -> None:
    """One line that names the files and says what to do; nothing written."""
    assert outcome.exit_code == 2
    assert outcome.stdout == ""
    (line,) = outcome.stderr.splitlines()
    for part in names:
        assert part in line
    assert len(line) > len("traceana: ") + sum(map(len, names)) + 20
    assert "Traceback" not in line
    assert outcome.wrote_nothing


@pytest.mark.parametrize("case", READABLE, ids=name)
def test_kernels_are_kept_or_counted_as_lost(tmp_path: Path, case: Case) -> None:
    outcome = analyze(tmp_path, TRACES / case.file)
    assert outcome.exit_code == 0, outcome.stderr
    run, (rank,) = outcome.run, outcome.run["ranks"]
    check_sums(run)
    lost = case.kernels - rank["kernels"]
    assert 0 <= lost <= case.damaged
    assert 0 <= case.comm_kernels - rank["comm_kernels"] <= case.comm_damaged
    assert run["coverage"]["skipped_events"] >= lost
    assert run["coverage"]["failed_files"] == []
    assert rank["rank"] == case.rank


@pytest.mark.parametrize("case", READABLE, ids=name)
def test_times_are_exact(tmp_path: Path, case: Case) -> None:
    (rank,) = analyze(tmp_path, TRACES / case.file).run["ranks"]
    for key in ("compute_ns", "comm_ns", "span_ns"):
        expected = getattr(case, key)
        assert expected is None or rank[key] == expected


@pytest.mark.parametrize("case", READABLE, ids=name)
def test_operations_and_sizes(tmp_path: Path, case: Case) -> None:
    operations = analyze(tmp_path, TRACES / case.file).run["operations"]
    assert case.ops is None or tuple(sorted({operation["op"] for operation in operations})) == case.ops
    assert {operation["message_bytes"] for operation in operations} <= {case.message_bytes}


@pytest.mark.parametrize("case", READABLE, ids=name)
def test_only_cut_files_count_as_truncated(tmp_path: Path, case: Case) -> None:
    truncated = analyze(tmp_path, TRACES / case.file).run["coverage"]["truncated_files"]
    assert [Path(file["file"]).name for file in truncated] == ([case.file] if case.cut else [])
    assert all(file["events"] > 0 and file["missing"] for file in truncated)


def test_long_list_of_ranks_is_completed(tmp_path: Path) -> None:
    run = analyze(tmp_path, TRACES / "long-ranks-list.json").run
    assert {operation["group_size"] for operation in run["operations"]} == {64}
    assert (run["world_size"], len(run["missing_ranks"])) == (64, 63)


@pytest.mark.parametrize("case", HOPELESS, ids=name)
def test_hopeless_file_is_refused(tmp_path: Path, case: Case) -> None:
    check_refused(analyze(tmp_path / "report", TRACES / case.file), case.file)


def test_junk_is_not_called_empty(tmp_path: Path) -> None:
    junk = tmp_path / "rank0.json.gz"
    junk.write_bytes(b"\x1f\x8b" + b"not gzip at all")
    check_refused(analyze(tmp_path / "report", junk), "rank0.json.gz", "holds damaged gzip data")
    assert "is empty" in analyze(tmp_path / "report", TRACES / "empty.json.gz").stderr


@pytest.mark.parametrize("file", ["huge-world.json", "huge-rank.json"])
def test_a_rank_or_a_world_that_no_run_has_is_not_believed(tmp_path: Path, file: str) -> None:
    run = analyze(tmp_path, TRACES / file).run
    assert (run["world_size"], run["missing_ranks"]) == (1, [])


def test_a_number_in_a_name_that_no_rank_has_is_none(tmp_path: Path) -> None:
    named = tmp_path / "rank1000000000000.json"
    shutil.copy(TRACES / "list-top-level.json", named)
    run = analyze(tmp_path / "report", named).run
    assert (run["world_size"], [rank["rank"] for rank in run["ranks"]]) == (1, [0])


def test_hopeless_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    check_refused(analyze(tmp_path / "report", tmp_path / "bare"), "bare")


def test_absent_path_is_refused(tmp_path: Path) -> None:
    check_refused(analyze(tmp_path / "report", tmp_path / "nowhere"), "nowhere")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file_is_refused(tmp_path: Path) -> None:
    locked = tmp_path / "rank0.json"
    locked.write_bytes((TRACES / "compact.json").read_bytes())
    locked.chmod(0)
    check_refused(analyze(tmp_path / "report", locked), "rank0.json")


def test_two_files_of_one_rank_are_refused(tmp_path: Path) -> None:
    check_refused(analyze(tmp_path / "report", TRACES / "duplicate-rank"), "first.json", "second.json")


def test_ranks_that_nobody_names_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    for copy in ("left.json", "right.json"):
        shutil.copy(TRACES / "list-top-level.json", folder / copy)
    check_refused(analyze(tmp_path / "report", folder), "left.json")


def test_rank_comes_from_the_name_where_the_file_has_none(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    for rank in (0, 11):
        shutil.copy(TRACES / "list-top-level.json", folder / f"trace_rank{rank}.json")
    assert [rank["rank"] for rank in analyze(tmp_path / "report", folder).run["ranks"]] == [0, 11]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("broken", ["empty.json", "not-json.json"])
def test_one_bad_rank_does_not_lose_the_others(tmp_path: Path, broken: str, workers: int) -> None:
    folder = tmp_path / "run"
    truth = write_run(folder, Run(world_size=4, calls=CALLS))
    shutil.copy(TRACES / broken, folder / "rank1.json.gz")
    outcome = analyze(tmp_path / "report", folder, workers=workers)
    assert outcome.exit_code == 0
    run = outcome.run
    assert [rank["rank"] for rank in run["ranks"]] == [0, 2, 3]
    assert run["missing_ranks"] == [1]
    assert [rank["comm_ns"] for rank in run["ranks"]] == [truth.ranks[rank].comm_ns for rank in (0, 2, 3)]
    (failed,) = run["coverage"]["failed_files"]
    assert "rank1.json.gz" in failed
    # The pair (2, 3) has lost nobody.
    assert run["coverage"]["matched"] == 8
    check_sums(run)


@pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
def test_truncated_rank_still_matches_what_it_has(tmp_path: Path, part: float) -> None:
    folder = tmp_path / "run"
    truth = write_run(folder, Run(world_size=4, calls=CALLS, steps=10))
    file = folder / "rank3.json.gz"
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * part)])
    run = analyze(tmp_path / "report", folder).run
    kept = run["ranks"][3]["comm_kernels"]
    assert 0 < kept < truth.ranks[3].comm_kernels
    assert [Path(file["file"]).name for file in run["coverage"]["truncated_files"]] == ["rank3.json.gz"]
    # The pair (0, 1) matches all its calls, the pair (2, 3) and the world what rank 3 kept.
    kept_pairs, kept_worlds = (kept + 1) // 2, kept // 2
    assert run["coverage"]["matched"] == 2 * 10 + 2 * kept_pairs + 4 * kept_worlds
    check_sums(run)


def test_its_own_report_is_passed_over_in_silence(tmp_path: Path) -> None:
    shutil.copy(TRACES / "compact.json", tmp_path / "rank0.json")
    for _ in range(2):
        outcome = analyze(tmp_path / "report", tmp_path)
        assert outcome.exit_code == 0
        assert outcome.report["passed_over"] == []
        assert "passed over" not in outcome.stdout + outcome.stderr


def test_other_json_files_are_passed_over(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    write_run(folder, Run(world_size=2, calls=CALLS[1:]))
    shutil.copy(TRACES / "not-a-trace.json", folder / "losses.json")
    outcome = analyze(tmp_path / "report", folder)
    assert [rank["rank"] for rank in outcome.run["ranks"]] == [0, 1]
    assert any("losses.json" in note for note in outcome.report["passed_over"])


def test_layouts_of_folders(tmp_path: Path) -> None:
    for label in ("torch", "pynccl"):
        write_run(tmp_path / "deep" / "runs" / label, Run(world_size=2, calls=CALLS[1:]))
    report = analyze(tmp_path / "report", tmp_path / "deep").report
    assert sorted(Path(run["label"]).name for run in report["runs"]) == ["pynccl", "torch"]
    files = sorted((tmp_path / "deep" / "runs" / "torch").iterdir())
    single = analyze(tmp_path / "single", *files)
    assert [rank["rank"] for rank in single.run["ranks"]] == [0, 1]


def test_good_trace_is_what_the_table_assumes(tmp_path: Path) -> None:
    run = analyze(tmp_path, TRACES / "compact.json").run
    assert run["coverage"]["collectives"] == COMM_KERNELS
    assert run["coverage"]["notes"] == []
