"""What inherits the run's variable is recorded only while its launcher is there; otherwise nothing happens at all."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from traceana_capture.agent import entry
from traceana_capture.launcher.workers import Ranks


@pytest.fixture
def prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    found: list[Any] = []
    monkeypatch.setattr(entry, "_started", False)
    monkeypatch.setattr(entry, "_prepare", found.append)
    monkeypatch.setenv(entry.VARIABLE, json.dumps({"socket": str(tmp_path / "control")}))
    return found


def test_a_process_tells_the_launcher_of_its_torch_and_is_prepared_once(prepared: list[Any], tmp_path: Path) -> None:
    ranks = Ranks(tmp_path)
    entry.start()
    entry.start()
    ranks.close()
    assert len(prepared) == 1
    assert list(ranks.torch.values()) == [torch.__version__]
    assert ranks.workers == {}


def test_where_the_launcher_is_gone_nothing_happens(
    prepared: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its folder is gone, or is there on another host's or container's file system."""
    entry.start()
    entry._started = False
    Ranks(tmp_path).close()
    entry.start()
    assert prepared == []
    assert capsys.readouterr().err == ""


def test_without_the_variable_nothing_happens(prepared: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(entry.VARIABLE)
    entry.start()
    assert prepared == []
