"""The launcher's control socket: what each rank said about itself, in a folder that only this user can enter."""

import contextlib
import dataclasses
import os
import socket
import threading
import time
from pathlib import Path

import msgspec

CLOSE_GRACE_S = 5.0


@dataclasses.dataclass(slots=True, kw_only=True)
class Worker:
    """A process that joined a process group, as far as its messages tell."""

    pid: int
    rank: int
    world_size: int
    host: str
    backend: str
    versions: dict[str, str]
    gpu: str | None = None
    state: str = "waiting"
    reason: str = ""
    trace: str | None = None
    lasted_s: float | None = None
    still_to_come: str = ""


class _Message(msgspec.Struct):
    event: str
    pid: int
    reason: str = ""
    trace: str | None = None
    gpu: str | None = None
    lasted_s: float | None = None
    still_to_come: str = ""
    version: str = ""


# Made before threads come: the first two that decode a type at once crash msgspec 0.22.
_MESSAGE, _WORKER = msgspec.json.Decoder(_Message), msgspec.json.Decoder(Worker)


class Roster:
    """Each rank's latest state, made from its messages."""

    def __init__(self) -> None:
        self.workers: dict[int, Worker] = {}
        # Versions of torch by process: of all that imported it.
        self.torch: dict[int, str] = {}

    def note(self, line: str | bytes) -> None:
        """Take one message in; raises ValueError for one that is not ours."""
        said = _MESSAGE.decode(line)
        if said.event == "torch":
            self.torch[said.pid] = said.version
        elif said.event == "hello" and said.pid not in self.workers:
            self.workers[said.pid] = _WORKER.decode(line)
        elif said.event != "hello" and said.pid in self.workers and self.workers[said.pid].trace is None:
            worker = self.workers[said.pid]
            worker.state, worker.reason, worker.trace = said.event, said.reason, said.trace
            worker.gpu = said.gpu or worker.gpu
            worker.lasted_s, worker.still_to_come = said.lasted_s, said.still_to_come


class Ranks(Roster):
    """Listens on `folder`/control and keeps each message in `folder`/messages, for a rescue."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._messages = folder / "messages"
        self._connections: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.socket(socket.AF_UNIX)
        # A socket's path may have 108 bytes and a run folder's may be longer, so it is reached through its directory.
        directory = os.open(folder, os.O_RDONLY)
        self._listener.bind(f"/proc/self/fd/{directory}/control")
        os.close(directory)
        self._listener.listen(64)
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._connections.append(connection)
                thread = threading.Thread(target=self._listen, args=(connection,), daemon=True)
                thread.start()
                self._threads.append(thread)

    def _listen(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), connection.makefile() as lines:
            for line in lines:
                self.note(line)
                with contextlib.suppress(OSError), self._messages.open("a") as file:
                    file.write(line)

    def flush(self) -> None:
        """Ask every rank to end its window and export now."""
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.sendall(b"flush\n")

    def busy(self) -> bool:
        """Whether a living rank still records or exports."""
        return any(w.state in ("recording", "exporting") and _alive(w.pid) for w in list(self.workers.values()))

    def close(self) -> None:
        """Stop listening, once the last words of ranks that have ended are read."""
        limit = time.monotonic() + CLOSE_GRACE_S
        # Those that wait to be accepted still are; then accepting ends.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join(CLOSE_GRACE_S)
        for thread in self._threads:
            thread.join(max(0.0, limit - time.monotonic()))
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self._listener.close()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state != "Z"
