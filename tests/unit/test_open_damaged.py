"""`traceana open FILE` hands a damaged file on as it is and says what is damaged; one with nothing whole it refuses."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.traces import base
from traceana.commands import open as command
from traceana.commands.open import Shown, say_damage, shown_file
from traceana.errors import TraceanaError
from traceana.trace.discover import discover

GOOD = base.pretty(base.good())
PACKED = base.packed(GOOD)


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("cut.json", GOOD[:-900], "ends early: the JSON ends among its events"),
        ("cut.json.gz", PACKED[:-300], "ends early: the gzip stream ends before its end mark"),
        ("sum.json.gz", PACKED[:-8] + bytes(4) + PACKED[-4:], "checksum"),
        ("event.json", GOOD.replace(b'"ts": ', b'"ts": x', 1), "1 damaged events were left out"),
        ("two.json", GOOD + GOOD, "holds more than one trace"),
    ],
)
def test_a_broken_file_is_said_to_be_broken_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, data: bytes, words: str
) -> None:
    (tmp_path / name).write_bytes(data)
    say_damage(tmp_path / name)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{tmp_path / name} is damaged, and Perfetto gets it as it is: ")
    assert words in line


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b'{"traceEvents": [', "holds no whole event"),
        (b'{"schemaVersion": 1, "traceEvents": [ {"name": "x"', "holds no whole event"),
        (b'{"traceEvents": []}', "holds no whole event"),
        (PACKED[:20], "ends before its end mark"),
        (b"no trace", "holds no traceEvents"),
        (b"", "is empty"),
    ],
)
def test_what_has_nothing_to_show_is_refused_as_by_other_commands(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "rank0.json"
    path.write_bytes(data)
    with pytest.raises(TraceanaError, match=words):
        shown_file(path, None, 1)
    with pytest.raises(TraceanaError, match=words):
        discover([path])


def test_of_a_whole_file_nothing_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rank0.json").write_bytes(GOOD)
    say_damage(tmp_path / "rank0.json")
    assert capsys.readouterr().err == ""
    assert shown_file(tmp_path / "rank0.json", None, 1).as_it_is


class _Now:
    """A thread that has run before it is started."""

    def __init__(self, *, target: Callable[[Path], None], args: tuple[Path], daemon: bool) -> None:
        target(*args)
        self.daemon = daemon

    def start(self) -> None:
        assert self.daemon


def test_it_is_said_beside_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from traceana.perfetto.server import TraceServer

    said: list[Path] = []
    file = tmp_path / "rank0.json"
    file.write_bytes(GOOD[:-900])
    monkeypatch.setattr(command, "say_damage", said.append)
    monkeypatch.setattr(command, "Thread", _Now)
    monkeypatch.setattr(command, "_announce", lambda _url, _forward: None)
    monkeypatch.setattr(TraceServer, "serve_forever", lambda _self, poll_interval: None)
    command._serve(Shown(file=file, title="a"), None)
    command._serve(Shown(file=file, title="a", as_it_is=False), None)
    assert said == [file]
