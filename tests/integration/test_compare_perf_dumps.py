"""`traceana compare` on real perf dumps beside what sglang's compare_perf.py says about the same files."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from traceana.cli import root

DUMPS = Path(__file__).parent.parent / "perf_dumps"
ONE, TWO = DUMPS / "one-rank.json", DUMPS / "two-ranks.json"
STATUS = {"✅": "better", "❌": "worse", "🟢": "better", "🔴": "worse", "⚪️": "same"}


def figures(markdown: str) -> dict[str, tuple[str, ...]]:
    """The cells of both programs' tables by the first, without markup, units and each one's words for a status."""
    rows: dict[str, tuple[str, ...]] = {}
    for line in markdown.splitlines():
        cells = [re.sub(r"[*\\]", "", cell).strip() for cell in line.strip("|").split("|")]
        if len(cells) >= 5 and not cells[0].startswith(":"):
            numbers = re.findall(r"[+-]?\d+\.\d+", " ".join(cells[1:]))
            status = [STATUS.get(cell, cell) for cell in cells if cell in STATUS or cell in STATUS.values()]
            name = {"E2E Latency": "end-to-end latency", "Throughput": "throughput"}.get(cells[0], cells[0])
            rows.setdefault(name, (*numbers, *status))
    return rows


def ours(*files: Path) -> dict[str, tuple[str, ...]]:
    done = CliRunner().invoke(root, ["compare", *map(str, files), "--format", "md"], catch_exceptions=False)
    assert done.exit_code == 0
    return figures(done.output)


def check_same_figures(theirs: str, files: tuple[Path, ...]) -> None:
    expected = {name: cells for name, cells in figures(theirs).items() if cells}
    assert len(expected) == 11
    found = ours(*files)
    for name, cells in expected.items():
        assert found[name] == cells, name


def test_same_figures_as_compare_perf() -> None:
    check_same_figures((DUMPS / "compare_perf.md").read_text(), (TWO, ONE))


def test_same_figures_against_several() -> None:
    """compare_perf.py puts three files into one table; here each candidate has its own."""
    row = re.compile(r"\| \**([\w. -]+?)\** \| ([\d.]+)(?: ms)? \| ([\d.]+)(?: ms)? \(([+-][\d.]+)%\) (\S+) \| (.*) \|")
    theirs = [found.groups() for found in row.finditer((DUMPS / "compare_perf-three.md").read_text())]
    assert len(theirs) == 10
    found = ours(ONE, TWO)
    for name, base, new, percent, status, again in theirs:
        cells = found[name.replace("E2E Latency", "end-to-end latency")]
        assert (cells[0], cells[1], cells[3], cells[4]) == (base, new, percent, STATUS[status])
        assert again.startswith(new)


def test_same_figures_as_the_installed_compare_perf() -> None:
    program = shutil.which("sglang")
    if program is None:
        pytest.skip("sglang is not installed")
    ask = "import importlib.util as u; print(u.find_spec('sglang').submodule_search_locations[0])"
    python = Path(program).parent / "python"
    where = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True, timeout=60).stdout.strip()
    script = Path(where, "multimodal_gen", "benchmarks", "compare_perf.py")
    if not script.exists():
        pytest.skip(f"this sglang has no {script.name}")
    theirs = subprocess.run(
        [sys.executable, script, TWO, ONE], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    check_same_figures(theirs, (TWO, ONE))


def dump(path: Path, total_ms: float, steps_ms: list[float], **more: Any) -> Path:
    content = {
        "timestamp": "2026-01-01T00:00:00",
        "request_id": path.stem,
        "commit_hash": "abc",
        "tag": "t",
        "total_duration_ms": total_ms,
        "steps": [{"name": f"denoising_step_{i}", "duration_ms": ms} for i, ms in enumerate(steps_ms)],
        "denoise_steps_ms": [{"step": i, "duration_ms": ms} for i, ms in enumerate(steps_ms)],
        "memory_checkpoints": {
            "after_forward": {"allocated_mb": 100.0, "reserved_mb": 300.0, "peak_allocated_mb": 200.0}
        },
        "meta": {"prompt": ["a cat"], "model": "wan"},
        **more,
    }
    path.write_text(json.dumps(content))
    return path


def compared(*arguments: str | Path) -> Any:
    words = ["compare", *map(str, arguments), "--format", "json"]
    done = CliRunner().invoke(root, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    (comparison,) = json.loads(done.output)["comparisons"]
    return comparison


def test_repeats_give_intervals_and_verdicts(tmp_path: Path) -> None:
    for repeat, (old, new) in enumerate(((1000.0, 900.0), (1004.0, 902.0), (998.0, 897.0)), start=1):
        dump(tmp_path / f"old.{repeat}.json", old, [60.0, *[10.0 + repeat / 100] * 9])
        dump(tmp_path / f"new.{repeat}.json", new, [60.0, *[10.0 - repeat / 100] * 9])
    files = sorted(tmp_path.iterdir(), reverse=True)
    found = compared(*files, "--baseline", "old")
    assert (found["baseline"], found["candidate"], found["interval_basis"]) == ("old", "new", "repeats")
    request, step = found["end_to_end"]
    assert request["verdict"] == "faster"
    assert request["ci_low"] < 1000 / 900 < request["ci_high"]
    assert step["baseline_count"] == 27
    assert step["verdict"] == "no difference"
    assert found["request"]["baseline_ns"] == 1_000_000_000
    (loop,) = found["stages"]
    assert (loop["name"], loop["baseline_count"], loop["candidate_count"]) == ("Denoising Loop", 10, 10)


def test_steps_memory_and_differences_of_set_up(tmp_path: Path) -> None:
    a = dump(tmp_path / "a.json", 500.0, [90.0, 10.0, 11.0, 12.0])
    b = dump(tmp_path / "b.json", 500.0, [90.0, 10.0, 30.0], meta={"prompt": ["a dog"], "model": "wan"})
    found = compared(a, b)
    assert found["baseline_steps"]["p50"] == 11_000_000
    assert found["candidate_steps"]["max"] == 30_000_000
    (memory,) = found["memory"]
    assert memory["baseline_peak_bytes"] == 200 << 20
    assert memory["candidate_reserved_bytes"] == 300 << 20
    assert found["reasons"] == ["other prompt: a cat against a dog", "other number of denoising steps: 4 against 3"]
    assert {one["verdict"] for one in found["end_to_end"]} == {"cannot tell"}


@pytest.mark.parametrize(("limit", "exit_code"), [("5%", 1), ("20%", 0)])
def test_fail_over(tmp_path: Path, limit: str, exit_code: int) -> None:
    for side, total in (("old", 900.0), ("new", 1000.0)):
        (tmp_path / side).mkdir()
        for repeat in range(3):
            dump(tmp_path / side / f"{repeat}.json", total + repeat, [60.0, *[10.0] * 9])
    done = CliRunner().invoke(root, ["compare", str(tmp_path / "old"), str(tmp_path / "new"), "--fail-over", limit])
    assert done.exit_code == exit_code
    assert ("request takes 11.1\xa0% longer" in done.output) == bool(exit_code)


def test_an_uncertain_slowdown_does_not_fail_but_is_said(tmp_path: Path) -> None:
    a, b = (dump(tmp_path / f"{name}.json", ms, [1.0, 2.0]) for name, ms in (("a", 100.0), ("b", 200.0)))
    done = CliRunner().invoke(root, ["compare", str(a), str(b), "--fail-over", "5%"])
    assert done.exit_code == 0
    assert "not decided: b: request" in done.output


def test_copies_of_a_dump_are_no_repeats(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        shutil.copy(ONE, tmp_path / f"a.{number}.json")
        shutil.copy(TWO, tmp_path / f"b.{number}.json")
    files = [str(file) for file in sorted(tmp_path.iterdir())]
    done = CliRunner().invoke(root, ["compare", *files, "--format", "json"], catch_exceptions=False)
    (comparison,) = json.loads(done.output)["comparisons"]
    assert comparison["reasons"][0] == "a.2.json is a copy of a.1.json, no repeat"
    judged = [*comparison["end_to_end"], *comparison["stage_tests"]]
    assert {one["verdict"] for one in judged} == {"cannot tell"}


def test_a_dump_that_is_cut_off_is_named(tmp_path: Path) -> None:
    cut = tmp_path / "cut.json"
    cut.write_bytes(ONE.read_bytes()[:700])
    done = CliRunner().invoke(root, ["compare", str(ONE), str(cut)])
    assert f"{cut} is none, or is cut off" in str(done.exception)
