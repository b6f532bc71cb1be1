"""Repeats of a run, and two settings in turn."""

import json
from pathlib import Path
from unittest import mock

import pytest
from traceana_capture.launcher import repeats
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
    (tmp_path / "run.2" / "run.json").write_text("{}")
    with (
        mock.patch("traceana_capture.launcher.captured_run.capture") as started,
        pytest.raises(TraceanaError, match=r"run\.2 holds a run already"),
    ):
        repeats.capture(repeats.sides(OPTIONS, None, None, ()), tmp_path, 2, force=False)
    started.assert_not_called()
