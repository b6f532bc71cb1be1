"""What files, folders and hosts are called obeys nobody on the terminal, and forges no line of ours."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.analysis import Outcome, analyze
from tests.synthetic import Call, Run, write_run
from traceana.errors import TraceanaError
from traceana.plain import plain, say_json
from traceana.render.text.tables import TextTable, markdown, show

HOSTILE = "a\x1b[2J\x1b]0;t\x07\r\nreport: forged\x9b31m\u202ez\u2028"
RUN = Run(world_size=2, calls=(Call(op="all_reduce", nelems=4096),))


def check_plain(text: str) -> None:
    assert [line for line in text.splitlines() if line.startswith("report: forged")] == []
    assert [line for line in text.split("\n") if plain(line) != line] == []


def test_words_are_one_line_without_controls() -> None:
    assert plain(HOSTILE) == "a?[2J?]0;t?  report: forged?31m?z?"
    assert plain(os.fsdecode(b"caf\xe9")) == "caf\\xe9"
    assert plain("größer 漢字 ·") == "größer 漢字 ·"


def test_an_error_is_one_plain_line() -> None:
    assert str(TraceanaError(HOSTILE)) == plain(HOSTILE)


def test_tables_are_plain(capsys: pytest.CaptureFixture[str]) -> None:
    table = TextTable(title=HOSTILE, columns=(HOSTILE, "b"), rows=((HOSTILE, HOSTILE),), notes=(HOSTILE,))
    show([table])
    check_plain(capsys.readouterr().out)
    check_plain(markdown([table]))


def test_json_on_the_terminal_is_plain_and_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    content = {"a": "\x9b31m\u202e\u2028\x7fü"}
    say_json(json.dumps(content, ensure_ascii=False).encode())
    out = capsys.readouterr().out
    check_plain(out)
    assert json.loads(out) == content


@pytest.mark.parametrize("form", ["text", "md", "json"])
def test_hostile_names_of_folders_hosts_labels_and_files_are_plain(tmp_path: Path, form: str) -> None:
    folder = tmp_path / HOSTILE.replace("/", "")
    write_run(folder, RUN)
    (folder / f"rank7{HOSTILE}.json").write_text("no trace")
    (folder / "run.json").write_text(json.dumps({"label": HOSTILE, "argv": [HOSTILE], "ranks": [], "started": HOSTILE}))
    outcome = analyze(tmp_path / "report", folder, "--format", form)
    assert outcome.exit_code == 0
    check_plain(outcome.stdout + outcome.stderr)


def test_an_operation_that_is_called_odd_is_plain(tmp_path: Path) -> None:
    odd = json.dumps(HOSTILE)[1:-1].encode()
    write_run(
        tmp_path / "run",
        RUN,
    )
    for file in (tmp_path / "run").iterdir():
        text = gzip.decompress(file.read_bytes())
        file.write_bytes(gzip.compress(text.replace(b'"allreduce"', b'"' + odd + b'"').replace(b"default_pg", odd)))
    outcome: Outcome = analyze(tmp_path / "report", tmp_path / "run")
    assert outcome.exit_code == 0
    check_plain(outcome.stdout + outcome.stderr)


def test_a_terminal_without_the_signs_gets_others(tmp_path: Path) -> None:
    write_run(tmp_path / "漢字", RUN)
    command = [sys.executable, "-m", "traceana", "analyze", "漢字", "-o", "report"]
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False)
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False), done.stderr
    assert b"??: 2 of 2 ranks" in done.stdout
