"""MacOS and Windows: capture says in one line that it needs Linux, and traces from there are analyzed."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.traces.base import good, pretty
from traceana.cli import main

# What Linux's Python has and that of Windows, or of both, lacks.
MODULES = ("fcntl", "resource", "termios", "pwd", "grp")
FUNCTIONS = ("fork", "register_at_fork", "sched_getaffinity", "getsid", "setsid", "killpg", "O_NONBLOCK", "O_CLOEXEC")
PROGRAM = f"""
import os, sys
for name in {MODULES}: sys.modules[name] = None
for name in {FUNCTIONS}: delattr(os, name)
from traceana.cli import main
sys.argv = ["traceana", *sys.argv[1:]]
main()
"""


@pytest.mark.parametrize("command", ["capture", "sweep", "tune"])
@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_what_needs_linux_says_so(
    command: str, system: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(sys, "argv", ["traceana", command, "--", "python", "train.py"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        f"traceana: traceana {command} needs Linux; analyze, compare, merge and open work here with traces from there\n"
    )


def test_traces_are_analyzed_without_linuxs_modules(tmp_path: Path) -> None:
    (tmp_path / "rank0.json").write_bytes(pretty(good()))
    words = ["analyze", str(tmp_path / "rank0.json"), "-o", str(tmp_path / "report"), "--workers", "1"]
    done = subprocess.run([sys.executable, "-c", PROGRAM, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "report" / "report.json").exists()
