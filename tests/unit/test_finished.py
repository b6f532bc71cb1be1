"""A report that was made is taken again only for the very same runs, options and code, and nothing else is done."""

import gzip
import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.commands import refused, traceana
from traceana import pipeline
from traceana.analyze.measure import RankResult
from traceana.errors import TraceanaError
from traceana.kernels import parse_comm_kernel
from traceana.saved import beside, cache, contents, finished, version

H200 = Path(__file__).parents[1] / "traces" / "h200" / "torch-2r"
FILES = ("report.html", "report.json", "collectives.parquet")
KEPT = Path(beside.FOLDER, "finished.report")
NOT_NEEDED = {
    "asyncio",
    "concurrent.futures.process",
    "jinja2",
    "multiprocessing",
    "numpy",
    "pandas",
    "pyarrow",
    "traceana.analyze.measure",
    "traceana.measuring",
    "traceana.pipeline",
    "traceana.pool",
}


@pytest.fixture(scope="module")
def analyzed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the run's files, not compressed, and the report of them in `first`; the report is kept."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "run").mkdir()
    for file in H200.glob("rank*.json.gz"):
        (folder / "run" / file.stem).write_bytes(gzip.decompress(file.read_bytes()))
    traceana("analyze", folder / "run", "-o", folder / "first", "--workers", "1")
    return folder


@pytest.fixture
def run(analyzed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that folder, with the report kept in it, by relative paths as the first."""
    copied = Path(shutil.copytree(analyzed, tmp_path / "copied"))
    monkeypatch.chdir(copied)
    traceana("analyze", "run", "-o", "first", "--workers", "1", "--force")
    return copied / "run"


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """An entry for each analysis that was made."""
    calls: list[str] = []
    real = pipeline.analyze_measured

    def counted(*arguments: Any) -> pipeline.Analysis:
        calls.append("analyzed")
        return real(*arguments)

    monkeypatch.setattr(pipeline, "analyze_measured", counted)
    return calls


def analyze(output: str, *options: str | Path, paths: tuple[str | Path, ...] = ("run",)) -> str:
    return traceana("analyze", *paths, "-o", output, "--workers", "1", *options)


def same(one: str, other: str) -> bool:
    return all(Path(one, name).read_bytes() == Path(other, name).read_bytes() for name in FILES)


def test_the_same_analysis_is_not_made_twice_and_gives_the_same(run: Path, made: list[str]) -> None:
    first = analyze("first", "--no-cache")
    assert made == ["analyzed"]
    again = analyze("second")
    assert made == ["analyzed"]
    assert same("first", "second")
    assert again == first.replace("first", "second")
    for form in ("md", "json"):
        assert analyze("second", "--format", form) == analyze("third", "--format", form, "--no-cache", "--force")


def test_a_kept_report_needs_neither_numpy_nor_a_pool_nor_templates(run: Path) -> None:
    words = [sys.executable, "-X", "importtime", "-m", "traceana", "analyze", "run", "-o", "second"]
    told = subprocess.run(words, capture_output=True, text=True, check=True).stderr
    imported = {line.rpartition("|")[2].strip() for line in told.splitlines()}
    assert "traceana.saved.finished" in imported
    assert NOT_NEEDED & imported == set()
    assert same("first", "second")


def change_a_duration(run: Path) -> None:
    """One digit of a kernel's duration, with size and time of the last change as they were."""
    file = run / "rank1.json"
    before = file.stat()
    text = file.read_bytes()
    kernel = text.index(b'"cat": "kernel"')
    at = text.index(b'"dur": ', kernel) + len(b'"dur": ')
    with file.open("r+b") as opened:
        opened.seek(at)
        opened.write(b"1" if text[at : at + 1] != b"1" else b"2")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def lay_a_run_file(run: Path) -> None:
    (run / "run.json").write_text(json.dumps({"schema": "traceana.run/1", "label": "other"}))


def lay_a_perf_dump(run: Path) -> None:
    (run / "perf.json").write_text(json.dumps({"total_duration_ms": 5.0, "steps": []}))


def lay_paired_calls(run: Path) -> None:
    (run / "paired.rank0.jsonl").write_text("{}\n")


def lay_another_rank(run: Path) -> None:
    (run / "rank2.json").write_bytes(b"{")


def cut_a_rank(run: Path) -> None:
    (run / "rank1.json").write_bytes((run / "rank1.json").read_bytes()[:-400])


def touch_what_is_kept(run: Path) -> None:
    content = bytearray((run / KEPT).read_bytes())
    content[len(content) // 2] ^= 1
    (run / KEPT).write_bytes(content)


def cut_what_is_kept(run: Path) -> None:
    (run / KEPT).write_bytes((run / KEPT).read_bytes()[:-1])


@pytest.mark.parametrize(
    "change",
    [
        change_a_duration,
        lay_a_run_file,
        lay_a_perf_dump,
        lay_paired_calls,
        lay_another_rank,
        cut_a_rank,
        touch_what_is_kept,
        cut_what_is_kept,
    ],
)
def test_whatever_changed_is_analyzed_anew(run: Path, made: list[str], change: Callable[[Path], None]) -> None:
    change(run)
    analyze("second")
    assert made == ["analyzed"]
    analyze("plain", "--no-cache")
    assert same("second", "plain")
    if change not in (touch_what_is_kept, cut_what_is_kept):
        assert not same("first", "second")


def test_what_another_user_kept_is_not_believed(
    run: Path, made: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strangers = (run / KEPT).read_bytes()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    analyze("second")
    assert made == ["analyzed"]
    assert (run / KEPT).read_bytes() != strangers
    key = tmp_path / "state" / "traceana" / "key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    analyze("second")
    assert made == ["analyzed"]
    key.chmod(0o644)
    analyze("second")
    assert made == ["analyzed"] * 2


def test_a_file_of_that_name_that_is_none_keeps_nobody_waiting(run: Path, made: list[str]) -> None:
    for file in (run / beside.FOLDER).iterdir():
        file.unlink()
        os.mkfifo(file)
    analyze("second")
    assert made == ["analyzed"]
    assert same("first", "second")


def test_what_is_kept_goes_through_no_link(run: Path, made: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    mine = run.parent / "mine"
    mine.write_text("my own")
    monkeypatch.setattr(os, "urandom", bytes)
    (run / beside.FOLDER / f"{bytes(8).hex()}.partial").symlink_to(mine)
    analyze("second", "--buckets", "1KiB")
    assert made == ["analyzed"]
    assert mine.read_text() == "my own"


@pytest.mark.parametrize("error", [OverflowError, UnicodeError, ModuleNotFoundError])
def test_what_has_no_key_is_analyzed_all_the_same(
    run: Path, made: list[str], monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def no_key(*_: object) -> str:
        raise error

    monkeypatch.setattr(finished, "_key", no_key)
    analyze("second")
    assert made == ["analyzed"]


def test_a_pattern_that_is_no_text_is_refused(run: Path) -> None:
    assert "write a kernel's name in UTF-8" in refused("analyze", "run", "-o", "second", "--comm-kernel", "x=\udcff")


def test_the_report_of_another_analysis_is_not_kept(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two into one folder, of which the other writes while this one has written and not kept yet."""
    (run / KEPT).unlink()
    keep = finished.keep

    def late(*arguments: Any) -> None:
        monkeypatch.setattr(finished, "keep", keep)
        analyze("second", "--buckets", "1KiB", "--no-cache")
        keep(*arguments)

    monkeypatch.setattr(finished, "keep", late)
    analyze("second")
    assert not (run / KEPT).exists()
    analyze("second")
    assert (run / KEPT).exists()
    assert same("first", "second")


def test_without_a_place_for_a_key_nothing_is_kept(
    run: Path, made: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "state").write_text("a file")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    analyze("second")
    analyze("second")
    assert made == ["analyzed"] * 2


@pytest.mark.parametrize(
    "options",
    [("--buckets", "1KiB"), ("--comm-kernel", "mine=^never$"), ("--compute-kernel", "^never$"), ("--no-cache",)],
)
def test_other_options_are_another_analysis(run: Path, made: list[str], options: tuple[str, ...]) -> None:
    analyze("second", *options)
    assert made == ["analyzed"]


def test_the_same_files_by_another_name_are_another_analysis(run: Path, made: list[str]) -> None:
    analyze("second", paths=(run,))
    assert made == ["analyzed"]
    report = json.loads(Path("second", "report.json").read_text())
    assert report["runs"][0]["path"] == str(run)


def test_other_code_other_packages_and_other_plug_ins_are_another_analysis(
    run: Path, made: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(finished, "added_patterns", lambda: (parse_comm_kernel("plugged=^never$"),))
        analyze("second")
    assert made == ["analyzed"]
    with monkeypatch.context() as patched:
        patched.setattr(version, "_MAKE_BYTES", (*version._MAKE_BYTES, "click"))
        version.version_of_reports.cache_clear()
        analyze("second")
        version.version_of_reports.cache_clear()
    assert made == ["analyzed"] * 2
    sources = Path(shutil.copytree(Path(pipeline.__file__).parent, run.parent / "copy" / "traceana"))
    digest = version._digest(sources.rglob("*.py"))
    for module in ("render/html.py", "replay/helps.py", "comparing/verdict.py", "report/ranks.py"):
        before = (sources / module).read_text()
        (sources / module).write_text(before + "# changed\n")
        assert version._digest(sources.rglob("*.py")) != digest, module
        (sources / module).write_text(before)


def test_a_report_that_lacks_a_rank_is_not_kept(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(run / beside.FOLDER)

    def killed_once(file: tuple[Path, contents.Content | None], **options: Any) -> RankResult:
        if file[0].name == "rank1.json":
            raise TraceanaError(f"{file[0]}: the process that read it was killed")
        return cache.measure_and_keep(file, **options)

    monkeypatch.setattr("traceana.measuring.measure_and_keep", killed_once)
    analyze("second")
    assert [file.name[:10] for file in (run / beside.FOLDER).iterdir()] == ["rank0.json"]


def test_a_file_that_changes_while_it_is_read_leaves_nothing(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(run / beside.FOLDER)

    def changed_meanwhile(file: tuple[Path, contents.Content | None], **options: Any) -> RankResult:
        change_a_duration(run)
        return cache.measure_and_keep(file, **options)

    monkeypatch.setattr("traceana.measuring.measure_and_keep", changed_meanwhile)
    analyze("second")
    assert [file.name[:10] for file in (run / beside.FOLDER).iterdir()] == ["rank0.json"]


def test_a_kept_report_replaces_no_report_of_other_runs(run: Path, made: list[str]) -> None:
    other = run.parent / "other"
    shutil.copytree(run, other, ignore=shutil.ignore_patterns(beside.FOLDER))
    analyze("second", paths=("other",))
    made.clear()
    assert "holds a report of other runs" in refused("analyze", "run", "-o", "second")
    analyze("second", "--force")
    assert made == []
    assert same("first", "second")


def test_a_digest_is_of_all_bytes_and_of_a_file_that_stands_still(tmp_path: Path) -> None:
    one, other, absent = tmp_path / "one", tmp_path / "other", tmp_path / "absent"
    one.write_bytes(b"a" * 3_000_000)
    other.write_bytes(b"a" * 2_999_999 + b"b")
    found = contents.contents([one, other, absent])
    assert list(found) == [one, other]
    assert found[one].digest != found[other].digest
    assert found[one].is_still_in(one)
    one.unlink()
    one.write_bytes(b"a" * 3_000_000)
    assert not found[one].is_still_in(one)
    assert not found[one].is_still_in(absent)
