import pytest

from traceana.capture.nccl import parse
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
