"""What was measured is taken again only for the very same file, and the report is the same."""

import os
import shutil
from pathlib import Path

import pytest

from tests.commands import traceana
from traceana.analyze import measure
from traceana.analyze.measure import RankResult, measure_rank
from traceana.errors import TraceanaError
from traceana.kernels import KernelPattern, parse_comm_kernel
from traceana.saved import beside, cache, measured
from traceana.saved.contents import contents
from traceana.saved.version import digest_of, version

H200 = Path(__file__).parents[1] / "traces" / "h200" / "torch-2r"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return Path(shutil.copytree(H200, tmp_path / "run", ignore=shutil.ignore_patterns(beside.FOLDER)))


def entries(run: Path) -> list[str]:
    return sorted(path.name for path in (run / beside.FOLDER).glob("*.measured"))


def keep(file: Path) -> RankResult:
    return cache.measure_and_keep((file, contents([file])[file]))


def known(file: Path, *patterns: KernelPattern) -> RankResult | None:
    return cache.cached(file, contents([file])[file], patterns)


def test_a_measured_rank_comes_back_as_it_was() -> None:
    result = measure_rank(H200 / "rank0.json.gz", (parse_comm_kernel("mine=^never$"),))
    again = measured.decode(measured.encode(result))
    assert measured.encode(again) == measured.encode(result)
    assert again.collectives.signatures == result.collectives.signatures
    assert again.idle_patterns == result.idle_patterns
    assert (again.collectives.start_ns == result.collectives.start_ns).all()


@pytest.mark.parametrize("content", [b"", b"\xc1", b"\x80", b"pickle"])
def test_bytes_of_something_else_are_refused(content: bytes) -> None:
    with pytest.raises(TraceanaError, match="no measured rank"):
        measured.decode(content)


def test_a_second_analysis_reads_no_trace_and_reports_the_same(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    traceana("analyze", run, "-o", tmp_path / "first", "--workers", "1")
    assert len(entries(run)) == 2

    def read_again(*_: object) -> None:
        raise AssertionError("a trace was read again")

    monkeypatch.setattr(measure, "read_rank", read_again)
    (run / beside.FOLDER / "finished.report").unlink()
    traceana("analyze", run, "-o", tmp_path / "second", "--workers", "1")
    for name in ("report.json", "report.html", "collectives.parquet"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_a_changed_file_other_patterns_and_damage_find_nothing(run: Path) -> None:
    file = run / "rank0.json.gz"
    keep(file)
    assert known(file) is not None
    assert known(file, parse_comm_kernel("mine=^never$")) is None
    entry = next((run / beside.FOLDER).iterdir())
    entry.write_bytes(entry.read_bytes()[:-9])
    assert known(file) is None
    keep(file)
    stamp = file.stat()
    shutil.copy(run / "rank1.json.gz", file)
    os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert known(file) is None
    keep(file)
    assert len(entries(run)) == 1


def test_a_folder_that_moved_keeps_what_it_knows_under_its_new_path(run: Path) -> None:
    keep(run / "rank0.json.gz")
    moved = run.rename(run.with_name("moved"))
    found = known(moved / "rank0.json.gz")
    assert found is not None
    assert found.path == moved / "rank0.json.gz"


def test_nothing_is_written_through_a_link_or_where_it_was_not_asked_for(run: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (run / beside.FOLDER).symlink_to(elsewhere)
    keep(run / "rank0.json.gz")
    assert list(elsewhere.iterdir()) == []
    (run / beside.FOLDER).unlink()
    traceana("analyze", run, "-o", tmp_path / "report", "--workers", "1", "--no-cache")
    assert entries(run) == []


def test_a_folder_that_is_not_to_be_written_is_left_alone(run: Path) -> None:
    run.chmod(0o555)
    result = keep(run / "rank0.json.gz")
    run.chmod(0o755)
    assert len(result.collectives) == 72
    assert entries(run) == []


@pytest.mark.parametrize("at", [0, 20, -20])
def test_a_changed_byte_finds_nothing(run: Path, at: int) -> None:
    keep(run / "rank0.json.gz")
    (entry,) = (run / beside.FOLDER).iterdir()
    content = bytearray(entry.read_bytes())
    content[at] ^= 1
    entry.write_bytes(content)
    assert known(run / "rank0.json.gz") is None


def test_another_source_of_any_module_that_measures_is_another_version(tmp_path: Path) -> None:
    package = Path(shutil.copytree(Path(measured.__file__).parents[1], tmp_path / "traceana"))
    unchanged = digest_of(package)
    assert unchanged == version()
    for name in ("axes.py", "kernels.py", "units.py", "analyze/collectives.py", "trace/read.py"):
        source = package / name
        before = source.read_text()
        source.write_text(before + "# changed\n")
        assert digest_of(package) != unchanged, name
        source.write_text(before)
    assert digest_of(package) == unchanged
