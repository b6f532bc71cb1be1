"""Reading needs neither torch nor HTA; what does need one says so in a line."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from traceana.needs import INSTALL

H200 = Path(__file__).parents[1] / "traces" / "h200"
# A Python whose finder knows neither package, as if they were not installed.
LIGHT = """
import sys
from importlib.machinery import PathFinder

class Light(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "hta"):
            return None
        return PathFinder.find_spec(name, path, target)

sys.meta_path = [Light if finder is PathFinder else finder for finder in sys.meta_path]
from traceana.cli import main
main()
"""


def light(*words: object) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-c", LIGHT, *map(str, words)]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def test_an_analysis_needs_neither(tmp_path: Path) -> None:
    done = light("analyze", H200 / "torch-2r", "--no-cache", "-o", tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "report.json").read_text())["runs"][0]["coverage"]["matched"] == 144


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("analyze", H200 / "torch-2r", "--hta"), "--hta needs holistictraceanalysis"),
        (("bench",), "bench needs torch"),
        (("demo",), "demo without --recorded needs torch"),
    ],
)
def test_what_is_missing_is_said_in_a_line(words: tuple[object, ...], what: str, tmp_path: Path) -> None:
    done = light(*words, "-o", tmp_path / "out")
    assert done.returncode == 2
    assert done.stderr == f"traceana: {what}, which is not installed here: {INSTALL}\n"
    assert not (tmp_path / "out").exists()


def test_doctor_names_what_this_python_lacks(tmp_path: Path) -> None:
    done = light("doctor", "--format", "json", "-o", tmp_path)
    said = {finding["check"]: finding["evidence"] for finding in json.loads(done.stdout)["findings"]}
    assert said["backends"] == f"a call of each backend needs torch, which is not installed here: {INSTALL}"


def test_capture_says_that_its_python_has_none_where_no_rank_came(tmp_path: Path) -> None:
    done = light("capture", "-o", tmp_path, "--", sys.executable, "-I", "-S", "-c", "raise SystemExit(1)")
    assert done.returncode == 1
    assert INSTALL in done.stderr
