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
import contextlib, io, json
from traceana.cli import main

for words in json.load(sys.stdin):
    stdout, stderr = io.StringIO(), io.StringIO()
    sys.argv, code = ["traceana", *words], 0
    with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
        try:
            main()
        except SystemExit as end:
            code = end.code
    print(json.dumps([code, stdout.getvalue(), stderr.getvalue()]), file=sys.__stdout__, flush=True)
"""


ANALYZE = ("analyze", H200 / "torch-2r", "--no-cache")
DOCTOR = ("doctor", "--format", "json")
CAPTURE = ("capture", "--", sys.executable, "-I", "-S", "-c", "raise SystemExit(1)")
REFUSED = {
    (*ANALYZE, "--hta"): "--hta needs holistictraceanalysis",
    ("bench",): "bench needs torch",
    ("demo",): "demo without --recorded needs torch",
}
Done = tuple[int | None, str, str, Path]


@pytest.fixture(scope="module")
def light(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[object, ...], Done]:
    """Exit code, output, errors and folder of each command, one after another in one such Python."""
    folder = tmp_path_factory.mktemp("light")
    commands = {words: folder / str(number) for number, words in enumerate((ANALYZE, *REFUSED, DOCTOR, CAPTURE))}
    said = json.dumps([[words[0], "-o", str(out), *map(str, words[1:])] for words, out in commands.items()])
    argv = [sys.executable, "-c", LIGHT]
    done = subprocess.run(argv, input=said, capture_output=True, text=True, check=True)
    ends = map(json.loads, done.stdout.splitlines())
    return {words: (*end, out) for (words, out), end in zip(commands.items(), ends, strict=True)}


def test_an_analysis_needs_neither(light: dict[tuple[object, ...], Done]) -> None:
    code, _, stderr, folder = light[ANALYZE]
    assert code in (0, None), stderr
    assert json.loads((folder / "report.json").read_text())["runs"][0]["coverage"]["matched"] == 144


@pytest.mark.parametrize(("words", "what"), REFUSED.items())
def test_what_is_missing_is_said_in_a_line(
    words: tuple[object, ...], what: str, light: dict[tuple[object, ...], Done]
) -> None:
    code, _, stderr, folder = light[words]
    assert code == 2
    assert stderr == f"traceana: {what}, which is not installed here: {INSTALL}\n"
    assert not folder.exists()


def test_doctor_names_what_this_python_lacks(light: dict[tuple[object, ...], Done]) -> None:
    said = {finding["check"]: finding["evidence"] for finding in json.loads(light[DOCTOR][1])["findings"]}
    assert said["backends"] == f"a call of each backend needs torch, which is not installed here: {INSTALL}"


def test_capture_says_that_its_python_has_none_where_no_rank_came(light: dict[tuple[object, ...], Done]) -> None:
    code, _, stderr, _ = light[CAPTURE]
    assert code == 1
    assert INSTALL in stderr
