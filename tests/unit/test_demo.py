"""The demo says what it planted, and captures with the machine's own means."""

from pathlib import Path

import pytest
from traceana_capture.launcher import repeats

from tests.commands import traceana
from traceana.demo import captured
from traceana.doctor import program
from traceana.errors import TraceanaError


def with_gpus(monkeypatch: pytest.MonkeyPatch, count: int) -> captured.Demo:
    seen = program.Facts(python="3.12.3", packages={}, nccl_paths={}, torch="2.11.0", gpus=count)
    monkeypatch.setattr(program, "asked", lambda _python: seen)
    return captured.demo()


def test_two_gpus_are_used_and_fewer_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    on_gpus = with_gpus(monkeypatch, 2)
    assert [side.label for side in on_gpus.sides] == ["nccl", "nccl-no-p2p"]
    assert [side.options.nccl for side in on_gpus.sides] == [{}, {"NCCL_P2P_DISABLE": "1"}]
    for count in (0, 1):
        on_cpu = with_gpus(monkeypatch, count)
        assert [side.label for side in on_cpu.sides] == ["gloo", "gloo-small"]
        assert "rank 1 comes late" in on_cpu.planted


def test_a_run_that_fails_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[int] = []

    def fails(_sides: object, _folder: Path, count: int, *, force: bool) -> int:
        asked.append(count)
        return 7 if force else 0

    monkeypatch.setattr(repeats, "capture", fails)
    with pytest.raises(TraceanaError, match="ended with 7"):
        captured.capture(with_gpus(monkeypatch, 0), tmp_path)
    assert asked == [captured.REPEATS]


def test_recorded_runs_come_with_the_package(tmp_path: Path) -> None:
    stdout = traceana("demo", "--recorded", "-o", tmp_path / "report")
    assert "torch-2r: 2 of 2 ranks" in stdout
    assert (tmp_path / "report" / "report.html").is_file()
