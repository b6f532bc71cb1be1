"""`--help` of every command, and what the shell completes."""

import json
import sys
from pathlib import Path
from unittest import mock

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from traceana.cli import COMMANDS, root

COLUMNS = 78


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_fit_a_terminal(name: str) -> None:
    done = CliRunner().invoke(root, [name, "--help"], terminal_width=80)
    assert done.exit_code == 0
    _, found, examples = done.output.partition("Examples:\n")
    assert found
    lines = examples.splitlines()
    assert [line for line in lines if len(line) > COLUMNS] == []
    assert [line for line in lines if f"traceana {name}" in line]


def complete(*words: str) -> list[str]:
    """What the shell offers for the last word."""
    completion = ShellComplete(root, {}, "traceana", "_TRACEANA_COMPLETE")
    return [item.value for item in completion.get_completions(list(words[:-1]), words[-1])]


def test_the_shell_completes_commands_without_importing_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with mock.patch("traceana.cli.importlib.import_module") as imported:
        assert complete("") == list(COMMANDS)
        assert complete("co") == ["compare"]
        assert complete("analze", "--base") == []
    imported.assert_not_called()


def test_the_shell_completes_options_and_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, label in (("torch.1", "torch"), ("torch.2", "torch"), ("b", "a b"), ("others", None)):
        (tmp_path / "traces" / name).mkdir(parents=True)
        (tmp_path / "traces" / name / "run.json").write_text(json.dumps({"label": label} if label else []))
    (tmp_path / "traces" / "mine").mkdir()
    (tmp_path / "traces" / "mine" / "rank0.json.gz").write_text("")
    assert complete("analyze", "--basel") == ["--baseline"]
    assert complete("analyze", str(tmp_path / "traces"), "--baseline", "") == ["a b", "mine", "torch"]
    assert complete("compare", str(tmp_path / "nowhere"), "--baseline", "") == []
    monkeypatch.chdir(tmp_path)
    assert complete("analyze", "--baseline", "t") == ["torch"]
    assert complete("capture", "--label", "m") == ["mine"]
    assert complete("capture", "-o", str(tmp_path / "traces"), "--label", "a") == ["a b"]
    assert complete("capture", "-o", str(tmp_path / "nowhere"), "--label", "") == []
