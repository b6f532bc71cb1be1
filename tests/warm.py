"""Pythons that a test starts without the seconds of their imports: forks of the node, as subprocess gives processes."""

import contextlib
import json
import os
import select
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from tests.warm_node import VARIABLE
from tests.warm_python import GENERATIONS

ALL = 9
LIMIT_S = 120
PIPE = subprocess.PIPE


class Process:
    """`python WORDS…` as a fork of the node, with what tests use of subprocess.Popen.

    It is the first of so many `generations` of Pythons that are forks; those below them are started anew.
    """

    def __init__(
        self,
        words: Sequence[str],
        *,
        env: Mapping[str, str] = os.environ,
        generations: int = ALL,
        stdin: int = PIPE,
        stderr: int = PIPE,
    ) -> None:
        self.args = words
        self.returncode: int | None = None
        ends = [_ends(stdin, reads=False), _ends(PIPE, reads=True), _ends(stderr, reads=True)]
        self.stdin, self.stdout, self.stderr = (mine for _, mine in ends)
        environment = {**env, GENERATIONS: str(generations)}
        message = json.dumps([[sys.executable, *words], environment, str(Path.cwd())]).encode()
        self._node = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._node.connect(os.environ[VARIABLE])
        socket.send_fds(self._node, [message], [theirs for theirs, _ in ends])
        for theirs, mine in ends:
            if mine is not None:
                os.close(theirs)
        self.pid = int(self._answer(LIMIT_S))

    def _answer(self, limit_s: float | None) -> bytes:
        if not select.select([self._node], [], [], limit_s)[0]:
            raise subprocess.TimeoutExpired(self.args, limit_s or 0)
        answer = self._node.recv(64)
        assert answer, "the node of the tests has ended"
        return answer

    def send_signal(self, number: signal.Signals) -> None:
        """Signal it while it runs."""
        os.kill(self.pid, number)

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, or -n for a signal. Raises subprocess.TimeoutExpired."""
        if self.returncode is None:
            self.returncode = int(self._answer(timeout))
            self._node.close()
        return self.returncode

    def communicate(self, said: str | None = None, timeout: float = LIMIT_S) -> tuple[str, str]:
        """Say it all that is to be said; its output and its errors. Raises subprocess.TimeoutExpired."""
        deadline = time.monotonic() + timeout
        if self.stdin is not None:
            with contextlib.suppress(BrokenPipeError), self.stdin:
                self.stdin.write(said or "")
        output, errors = self._read(deadline)
        self.wait(max(0.0, deadline - time.monotonic()))
        return output, errors

    def _read(self, deadline: float) -> tuple[str, str]:
        pieces: dict[IO[str] | None, bytes] = {self.stdout: b"", self.stderr: b""}
        with selectors.DefaultSelector() as selector:
            for stream in filter(None, pieces):
                selector.register(stream, selectors.EVENT_READ, stream)
            while selector.get_map():
                ready = selector.select(max(0.0, deadline - time.monotonic()))
                if not ready:
                    raise subprocess.TimeoutExpired(self.args, deadline)
                for key, _ in ready:
                    piece = os.read(key.fd, 1 << 16)
                    pieces[key.data] += piece
                    if not piece:
                        selector.unregister(key.fileobj)
                        key.data.close()
        return pieces[self.stdout].decode(), pieces[self.stderr].decode()


def _ends(given: int, *, reads: bool) -> tuple[int, IO[str] | None]:
    """The fork's end of a pipe and ours, or the file that is given to it."""
    if given != PIPE:
        return given, None
    source, sink = os.pipe()
    return (sink, os.fdopen(source)) if reads else (source, os.fdopen(sink, "w"))


def run(*words: str) -> "subprocess.CompletedProcess[str]":
    """`python WORDS…` to its end."""
    process = Process(words)
    output, errors = process.communicate()
    return subprocess.CompletedProcess(words, process.wait(), output, errors)
