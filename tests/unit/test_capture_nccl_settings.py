from pathlib import Path

import pytest
from traceana_capture.launcher.nccl_settings import PRESETS, VARIABLES, logging, parse, preset_lines, settings_of

from traceana.errors import TraceanaError


def test_settings_become_variables() -> None:
    assert parse(("NCCL_PROTO=Simple", "NCCL_ALGO=allreduce:ring=x")) == {
        "NCCL_PROTO": "Simple",
        "NCCL_ALGO": "allreduce:ring=x",
    }


@pytest.mark.parametrize(
    ("setting", "message"),
    [("NCCL_PROTOO=LL", "did you mean NCCL_PROTO"), ("LD_PRELOAD=x", "not a variable"), ("NCCL_PROTO", "KEY=VALUE")],
)
def test_what_cannot_be_a_setting_is_refused(setting: str, message: str) -> None:
    with pytest.raises(TraceanaError, match=message):
        parse((setting,))


def test_a_single_setting_outranks_a_preset() -> None:
    assert settings_of(("ll", "no-p2p"), ("NCCL_PROTO=Simple",)) == {"NCCL_PROTO": "Simple", "NCCL_P2P_DISABLE": "1"}


def test_presets_use_known_variables_and_say_what_they_do() -> None:
    assert all(preset.variables.keys() <= VARIABLES and preset.does for preset in PRESETS.values())
    assert "can corrupt data" in next(line for line in preset_lines() if line.startswith("ll128"))


def test_the_log_goes_to_a_file_if_it_is_asked_for_and_the_user_has_none() -> None:
    file = {"NCCL_DEBUG_FILE": "run/nccl.%h.%p.log"}
    assert logging({}, PRESETS["debug"].variables, Path("run")) == file
    assert logging({"NCCL_DEBUG": "INFO"}, {}, Path("run")) == {}
    assert logging({"NCCL_DEBUG_FILE": "mine"}, PRESETS["debug"].variables, Path("run")) == {}
