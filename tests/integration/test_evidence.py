"""What reviewers ask for, as `compare --evidence` prints it: of perf dumps, of runs, of a sweep."""

import json
from pathlib import Path

import pytest

from tests.commands import refused, run, traceana

TRACES = Path(__file__).parents[1] / "traces" / "h200"


def dump(folder: Path, label: str, milliseconds: float, peak_mb: float | None = 1024.0) -> Path:
    content = {
        "total_duration_ms": milliseconds,
        "commit_hash": f"{label}-sha",
        "steps": [],
        "denoise_steps_ms": [],
        "memory_checkpoints": {"end": {"peak_allocated_mb": peak_mb}},
        "meta": {"model": "wan"},
    }
    path = folder / f"{label}.json"
    path.write_text(json.dumps(content))
    return path


def test_perf_dumps_with_three_runs_a_side(tmp_path: Path) -> None:
    before = [dump(tmp_path, f"main.{number}", 1000 + number) for number in (1, 2, 3)]
    after = [dump(tmp_path, f"branch.{number}", 800 + number) for number in (1, 2, 3)]
    text = traceana("compare", *before, *after, "--format", "md", "--evidence")
    block = text[: text.index("\n### branch against main")]
    assert block.startswith("### Evidence: branch against main")
    assert "| commit | main.1-sha, main.2-sha, main.3-sha | branch.1-sha, branch.2-sha, branch.3-sha |" in block
    assert "| runs | 3 | 3 |" in block
    assert "| spread of the runs | 0.2\u00a0% | 0.2\u00a0% |" in block
    assert "| peak memory | 1\u00a0GiB | 1\u00a0GiB |" in block
    assert "- verdict: request (perf dump) faster, 1.25×" in block
    assert "are needed for a verdict" not in block


def test_captured_runs_with_one_run_a_side_say_that_it_is_too_few() -> None:
    text = traceana("compare", TRACES / "torch-2r", TRACES / "pynccl-2r", "--evidence", "--format", "md")
    assert "| GPUs | 2 ranks, NVIDIA H200 | 2 ranks, NVIDIA H200 |" in text
    assert "- 1 run of a side: 3 are needed for a verdict" in text
    assert "- verdict: step cannot tell" in text


def test_a_sweep_has_its_outputs_compared(tmp_path: Path) -> None:
    job = "echo took $((10 * {size})) ms; echo {size} > $0/x.bin"
    words = ("--axis", "size=2,1", "--no-traces", "--metric", "output:took", "--", "sh", "-c", job, "{out}")
    assert run("sweep", "-o", tmp_path, *words)[0] == 0
    text = traceana("compare", tmp_path, "--evidence", "--format", "md")
    assert text.startswith("### Evidence: size=1 against size=2")
    assert "| output | the baseline's | unknown: x.bin: other bytes" in text
    assert "- verdict: faster, 2.00×" in text
    assert "sh -c" in text
    assert "is a sweep's folder" in refused("compare", tmp_path, TRACES / "torch-2r")


@pytest.mark.parametrize("words", [("--evidence", "--format", "json")])
def test_evidence_is_words(words: tuple[str, ...]) -> None:
    assert "--evidence is words" in refused("compare", TRACES / "torch-2r", TRACES / "pynccl-2r", *words)
