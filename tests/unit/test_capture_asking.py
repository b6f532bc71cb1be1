"""Questions about windows, and their answers."""

from pathlib import Path

import msgspec
import pytest
from traceana_capture.launcher.asking import ANSWER, Answer, Ask, reply
from traceana_capture.launcher.options import every_s

from traceana.errors import TraceanaError


def test_who_asks_is_answered_whatever_fails(tmp_path: Path) -> None:
    def fails(_: Ask) -> Answer:
        raise KeyError(3)

    taken = tmp_path / "1.taken"
    taken.write_bytes(msgspec.json.encode(Ask(do="status")))
    reply(taken, fails)
    assert "KeyError(3)" in msgspec.json.decode(taken.with_suffix(ANSWER).read_bytes(), type=Answer).error


def test_windows_that_cannot_come_again_are_refused() -> None:
    assert (every_s("", ("broadcast",)), every_s("10m", ())) == (None, 600.0)
    with pytest.raises(TraceanaError, match="leave out --paired"):
        every_s("10m", ("broadcast",))
