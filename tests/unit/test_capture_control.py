import json
import os
import socket
from pathlib import Path

import pytest
from traceana_capture.agent.control import Control
from traceana_capture.launcher.workers import Ranks, Roster

HELLO = {"rank": 0, "world_size": 1, "host": "h", "backend": "gloo", "versions": {}}


def line(**message: object) -> str:
    return json.dumps({"pid": 7, **message})


def test_a_second_hello_does_not_forget_the_trace() -> None:
    """As from a program that destroys its process group and sets up another."""
    roster = Roster()
    hello = line(event="hello", **HELLO)
    for message in (hello, line(event="done", trace="7.json"), hello, line(event="waiting")):
        roster.note(message)
    assert (roster.workers[7].state, roster.workers[7].trace) == ("done", "7.json")


@pytest.mark.parametrize(
    "message", ["", "{", "[]", '{"event": "hello"}', line(event="hello", **{**HELLO, "rank": "../x"})]
)
def test_what_is_no_message_is_refused(message: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Roster().note(message)


def test_last_words_are_heard(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    ranks = Ranks(folder)
    control = Control(str(folder / "control"))
    control.connect(lambda _order: None)
    control.send(event="hello", **HELLO)
    for number in range(100):
        control.send(event="recording", reason=f"reason {number}")
    assert control._socket is not None
    control._socket.shutdown(socket.SHUT_WR)
    ranks.close()
    (worker,) = ranks.workers.values()
    assert worker.reason == "reason 99"
    control._socket.close()


def test_who_is_not_accepted_yet_is_heard_too(tmp_path: Path) -> None:
    ranks = Ranks(tmp_path)
    clients = [socket.socket(socket.AF_UNIX) for _ in range(50)]
    for pid, client in enumerate(clients):
        client.connect(str(tmp_path / "control"))
        client.sendall(json.dumps({"event": "hello", **HELLO, "pid": pid}).encode() + b"\n")
        client.close()
    ranks.close()
    assert ranks.workers.keys() == set(range(50))


def test_a_forked_child_does_not_keep_the_connection_open(tmp_path: Path) -> None:
    ranks = Ranks(tmp_path)
    control = Control(str(tmp_path / "control"))
    control.connect(lambda _order: None)
    connection = control._socket
    assert connection is not None
    child = os.fork()
    if not child:
        control.forget()
        os._exit(connection.fileno() != -1)
    assert os.waitpid(child, 0)[1] == 0
    assert connection.fileno() != -1
    connection.close()
    ranks.close()
