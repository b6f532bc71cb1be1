"""What a command does, and its exit code, when the reader of what it prints has left."""

import os
import subprocess
import sys
from pathlib import Path

from traceana.cli import COMMANDS

H200 = Path(__file__).parent.parent / "traces" / "h200"
EVERY_COMMAND = """
import os, sys
from traceana.cli import COMMANDS, main

stdout = sys.stdout
for name in COMMANDS:
    end, pipe = os.pipe()
    os.close(end)
    os.dup2(pipe, 1)
    sys.stdout, sys.argv = stdout, ["traceana", name, "--help"]
    try:
        main()
    except SystemExit as done:
        print(done.code, file=sys.stderr)
"""
RUNS = (H200 / "torch-2r", H200 / "pynccl-2r")


def without_reader(*words: str | Path, errors_too: bool = False) -> tuple[int, str]:
    """Exit code, and stderr where it has a reader, of `traceana WORDS | true`."""
    end, pipe = os.pipe()
    os.close(end)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "traceana", *map(str, words)],
            stdout=pipe,
            stderr=pipe if errors_too else subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(pipe)
    return done.returncode, done.stderr or ""


def test_analyze_writes_its_report_and_succeeds(tmp_path: Path) -> None:
    assert without_reader("analyze", *RUNS, "-o", tmp_path, "--workers", "1") == (0, "")
    assert {path.name for path in tmp_path.iterdir()} == {"report.html", "report.json", "collectives.parquet"}


def test_every_command_outlives_its_reader() -> None:
    done = subprocess.run([sys.executable, "-c", EVERY_COMMAND], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr.split() == ["0"] * len(COMMANDS)


def test_an_error_keeps_its_exit_code() -> None:
    assert without_reader("analyze", "/nowhere", errors_too=True) == (2, "")
