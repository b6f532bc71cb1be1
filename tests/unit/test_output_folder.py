"""A report goes into its own folder, over its own earlier one, and through no link."""

from pathlib import Path

import pytest

from tests.analysis import OUTPUTS, Outcome, analyze
from tests.synthetic import Call, Run, write_run

RUN = Run(world_size=1, calls=(Call(op="all_reduce", nelems=4096),))


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for name in ("a", "b"):
        write_run(tmp_path / "runs" / name, RUN)
    return tmp_path / "runs"


def labels(outcome: Outcome) -> list[str]:
    assert outcome.exit_code == 0, outcome.stderr
    return [run["label"] for run in outcome.report["runs"]]


def check_refused(outcome: Outcome, *words: str) -> None:
    (line,) = outcome.stderr.splitlines()
    assert (outcome.exit_code, outcome.stdout) == (2, "")
    assert [word for word in words if word not in line] == []


def test_a_report_of_other_runs_is_replaced_by_force_only(tmp_path: Path, runs: Path) -> None:
    out = tmp_path / "out"
    assert labels(analyze(out, runs / "a")) == ["a"]
    before = (out / "report.html").read_bytes()
    check_refused(analyze(out, runs / "b"), str(out), "other runs", "--force")
    assert (out / "report.html").read_bytes() == before
    assert labels(analyze(out, runs / "b", "--force")) == ["b"]


def test_its_own_earlier_report_is_replaced_also_when_a_run_came_to_it(tmp_path: Path, runs: Path) -> None:
    out = tmp_path / "out"
    analyze(out, runs / "a")
    assert labels(analyze(out, runs / "a")) == ["a"]
    assert labels(analyze(out, runs)) == ["a", "b"]
    check_refused(analyze(out, runs / "b"), "other runs")


def test_files_of_one_folder_are_other_runs(tmp_path: Path, runs: Path) -> None:
    (file,) = (runs / "a").iterdir()
    (runs / "a" / "other.json.gz").write_bytes(file.read_bytes())
    analyze(tmp_path / "out", file)
    check_refused(analyze(tmp_path / "out", runs / "a" / "other.json.gz"), "other runs")


@pytest.mark.parametrize("name", OUTPUTS)
def test_a_file_that_is_no_report_of_ours_is_kept(tmp_path: Path, runs: Path, name: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("mine")
    check_refused(analyze(tmp_path / "out", runs / "a"), "other runs")
    assert (tmp_path / "out" / name).read_text() == "mine"


@pytest.mark.parametrize("name", OUTPUTS)
def test_a_link_in_the_folder_is_replaced_and_what_it_leads_to_is_kept(tmp_path: Path, runs: Path, name: str) -> None:
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).symlink_to(tmp_path / "precious")
    check_refused(analyze(tmp_path / "out", runs / "a"), "other runs")
    assert labels(analyze(tmp_path / "out", runs / "a", "--force")) == ["a"]
    assert (tmp_path / "precious").read_text() == "mine"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(OUTPUTS)


def test_a_folder_that_is_a_link_is_refused(tmp_path: Path, runs: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "elsewhere")
    check_refused(analyze(tmp_path / "out", runs / "a"), "leads to", "elsewhere")
    assert list((tmp_path / "elsewhere").iterdir()) == []
