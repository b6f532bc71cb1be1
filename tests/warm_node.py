"""The one process of a test run that has imported torch, which forks for each Python that a test starts with `warm`.

pytest starts it with the run, and it imports nothing before it is asked; pytest-xdist's workers find it by an
environment variable.
"""

import contextlib
import importlib
import json
import os
import selectors
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

VARIABLE = "TRACEANA_TEST_NODE"
# Forks write their environments over the node's own, which /proc shows.
ROOM = {"TRACEANA_TEST_ROOM": "-" * 20_000}


@contextlib.contextmanager
def running() -> Iterator[None]:
    """Have the node there, and its address in the environment."""
    with tempfile.TemporaryDirectory() as folder:
        address = str(Path(folder, "node"))
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind(address)
            listener.listen(64)
            program = "import sys, tests.warm_node as node; node.serve(int(sys.argv[1]))"
            argv = [sys.executable, "-c", program, str(listener.fileno())]
            environment = {**os.environ, **ROOM}
            root = Path(__file__).parents[1]
            node = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                pass_fds=[listener.fileno()],
                env=environment,
                cwd=root,
                start_new_session=True,
            )
        os.environ[VARIABLE] = address
        try:
            yield
        finally:
            del os.environ[VARIABLE]
            node.communicate()


def serve(descriptor: int) -> None:
    """Fork for each connection there, whose one message is a command with its environment, folder and standard files.

    The answers are the fork's number and, at its end, its exit code. Ends with stdin.
    """
    with socket.socket(fileno=descriptor) as listener, selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        selector.register(sys.stdin, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is sys.stdin:
                    return
                if key.fileobj is listener:
                    connection, pid = _fork(listener)
                    selector.register(os.pidfd_open(pid), selectors.EVENT_READ, (connection, pid))
                else:
                    assert isinstance(key.fileobj, int)
                    selector.unregister(key.fileobj)
                    os.close(key.fileobj)
                    _tell_the_end(*key.data)


def _fork(listener: socket.socket) -> tuple[socket.socket, int]:
    warm_python = importlib.import_module("tests.warm_python")
    warm_python.prepare()
    connection, _ = listener.accept()
    message, files, _, _ = socket.recv_fds(connection, 1 << 20, 3)
    pid = os.fork()
    if not pid:
        os.setsid()
        warm_python.take_files(files, set())
        warm_python.become(*json.loads(message))
    for file in files:
        os.close(file)
    connection.send(str(pid).encode())
    return connection, pid


def _tell_the_end(connection: socket.socket, pid: int) -> None:
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with connection, contextlib.suppress(OSError):
        connection.send(str(code).encode())
