"""Defaults of options come from the nearest file, and one that no command has is named."""

from pathlib import Path

import pytest

from tests.commands import refused, traceana
from traceana.defaults import of_folder
from traceana.errors import TraceanaError

COMMANDS = ("analyze", "capture")


def test_the_nearest_file_counts_and_its_own_before_the_shared_one(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    assert of_folder(inner, COMMANDS) == {}
    (tmp_path / "pyproject.toml").write_text('[tool.traceana.capture]\nnccl-preset = ["ring"]\n')
    assert of_folder(inner, COMMANDS) == {"capture": {"nccl_preset": ["ring"]}}
    (tmp_path / "traceana.toml").write_text("[analyze]\nworkers = 3\n")
    assert of_folder(inner, COMMANDS) == {"analyze": {"workers": 3}}
    (tmp_path / "a" / "pyproject.toml").write_text("[project]\n")
    assert of_folder(inner, COMMANDS) == {"analyze": {"workers": 3}}


@pytest.mark.parametrize("text", ["[analyse]\nworkers = 3\n", "workers = 3\n", "[analyze\n", "\udcff"])
def test_a_file_that_is_wrong_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "traceana.toml").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(TraceanaError, match=r"traceana\.toml"):
        of_folder(tmp_path, COMMANDS)


def test_an_option_that_no_command_has_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("traceana.toml").write_text('[analyze]\nbucket = "1MiB"\n')
    assert "did you mean --buckets?" in refused("analyze", ".")


def test_the_command_line_goes_before_a_variable_and_that_before_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("traceana.toml").write_text('[analyze]\nbuckets = "file"\n')
    assert "--buckets: file is no size" in refused("analyze", ".")
    monkeypatch.setenv("TRACEANA_ANALYZE_BUCKETS", "variable")
    assert "--buckets: variable is no size" in refused("analyze", ".")
    assert "--buckets: line is no size" in refused("analyze", "--buckets", "line", ".")


def test_a_mistyped_command_is_answered_with_the_nearest() -> None:
    assert "did you mean analyze?" in refused("analize", "x")
    assert "traceana --help" in refused("frobnicate")
    assert "Commands:" in traceana("--help")
