"""Repeats of a run, and two settings in turn."""

import json
import signal
import sys
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest
from traceana_capture.agent import choices
from traceana_capture.launcher import backends, captured_run, repeats
from traceana_capture.launcher.nccl_settings import PRESETS
from traceana_capture.launcher.options import Options

from traceana.errors import TraceanaError

OPTIONS = Options(argv=("true",), nccl={})


def labels(label: str | None, versus: str | None, options: Options = OPTIONS) -> list[str]:
    return [side.label for side in repeats.sides(options, label, versus, ())]


def test_a_run_by_itself_is_one_side() -> None:
    assert labels(None, None) == ["run"]
    assert labels("mine", None) == ["mine"]


def test_two_backends_are_named_after_themselves() -> None:
    chosen = repeats.sides(Options(argv=("true",), nccl={}, backend="torch"), None, "pynccl", ())
    assert [(side.label, side.options.backend) for side in chosen] == [("torch", "torch"), ("pynccl", "pynccl")]
    assert labels("wan", "pynccl") == ["wan-asis", "wan-pynccl"]
    ipc = Options(argv=("true",), nccl={}, backend="ipc")
    assert [side.options.backend for side in repeats.sides(ipc, None, "asis", ())] == ["ipc", "asis"]


def test_a_preset_is_held_against_the_run_without_it_and_single_settings_hold_for_both() -> None:
    setting = ("NCCL_DEBUG=WARN",)
    plain, other = repeats.sides(Options(argv=("true",), nccl={"NCCL_DEBUG": "WARN"}), None, "simple", setting)
    assert (plain.label, plain.options.nccl) == ("plain", {"NCCL_DEBUG": "WARN"})
    assert (other.label, other.options.presets) == ("simple", ("simple",))
    assert other.options.nccl == PRESETS["simple"].variables | {"NCCL_DEBUG": "WARN"}


def test_a_setting_is_not_held_against_itself() -> None:
    with pytest.raises(TraceanaError, match="is how the run goes already"):
        labels(None, "torch", Options(argv=("true",), nccl={}, backend="torch"))


def test_sides_take_turns(tmp_path: Path) -> None:
    chosen = repeats.sides(OPTIONS, None, "simple", ())
    assert repeats.capture(chosen, tmp_path, 2, force=False) == 0
    runs = [json.loads(path.read_text()) for path in tmp_path.glob("*/run.json")]
    in_time = [(run["label"], run["repeat"]) for run in sorted(runs, key=lambda run: run["started"])]
    assert in_time == [("plain", 1), ("simple", 1), ("plain", 2), ("simple", 2)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plain.1", "plain.2", "simple.1", "simple.2"]


def test_the_first_failure_ends_the_series(tmp_path: Path) -> None:
    chosen = repeats.sides(Options(argv=("false",), nccl={}), None, None, ())
    assert repeats.capture(chosen, tmp_path, 3, force=False) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["run.1"]


def test_a_folder_that_is_taken_is_refused_before_the_first_run(tmp_path: Path) -> None:
    (tmp_path / "run.2").mkdir()
    (tmp_path / "run.2" / "rank0.json.gz").touch()
    with (
        mock.patch("traceana_capture.launcher.captured_run.capture") as started,
        pytest.raises(TraceanaError, match=r"run\.2 holds a run already"),
    ):
        repeats.capture(repeats.sides(OPTIONS, None, None, ()), tmp_path, 2, force=False)
    started.assert_not_called()


def test_a_command_that_failed_without_a_trace_stands_in_nobodys_way(tmp_path: Path) -> None:
    wrong = repeats.sides(Options(argv=("false",), nccl={}), None, None, ())
    assert repeats.capture(wrong, tmp_path, 1, force=False) == 1
    assert repeats.capture(repeats.sides(OPTIONS, None, None, ()), tmp_path, 1, force=False) == 0
    assert json.loads((tmp_path / "run" / "run.json").read_text())["argv"] == ["true"]


def test_each_run_has_its_name_in_its_command(tmp_path: Path) -> None:
    script = f"echo {{run}} > {tmp_path}/{{run}}.txt"
    chosen = repeats.sides(Options(argv=("sh", "-c", script), nccl={}), None, "simple", ())
    assert repeats.capture(chosen, tmp_path, 2, force=False) == 0
    names = ["plain.1", "plain.2", "simple.1", "simple.2"]
    assert {path.read_text().strip(): path.stem for path in tmp_path.glob("*.txt")} == dict(
        zip(names, names, strict=True)
    )


@pytest.mark.parametrize("has_gpu", [False, True])
def test_a_backend_that_cannot_be_is_refused_before_the_first_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_gpu: bool
) -> None:
    monkeypatch.setattr(backends, "GPU_DEVICES", (str(tmp_path),) if has_gpu else ())
    sources = (("no_framework_1.pynccl", "PyNccl"), ("no_framework_2.pynccl", "PyNccl"))
    monkeypatch.setitem(choices.CHOICES, "pynccl", replace(choices.CHOICES["pynccl"], sources=sources))
    options = Options(argv=(sys.executable, "train.py"), nccl={}, backend="torch")
    needs = "needs no_framework_1 or no_framework_2 in the command's Python" if has_gpu else "needs a GPU"
    with (
        mock.patch("traceana_capture.launcher.captured_run.capture") as started,
        pytest.raises(TraceanaError, match=needs),
    ):
        repeats.capture(repeats.sides(options, None, "pynccl", ()), tmp_path, 2, force=False)
    started.assert_not_called()


def test_how_a_command_was_ended_is_said_in_the_users_words() -> None:
    over = replace(OPTIONS, timeout_s=5.0)
    assert captured_run._why(130, OPTIONS, signal.SIGINT) == "was ended by Ctrl-C"
    assert captured_run._why(143, OPTIONS, signal.SIGTERM) == "was ended by SIGTERM"
    assert captured_run._why(124, over, None) == "was ended, because --timeout 5 s was over"
    assert captured_run._why(124, OPTIONS, None) == "failed"
