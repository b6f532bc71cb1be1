"""The launcher's control socket: what each rank said about itself, in a folder that only this user can enter."""

import contextlib
import dataclasses
import os
import socket
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from traceana_capture.launcher.publish import Published

CLOSE_GRACE_S = 5.0
BUSY = ("recording", "exporting")
WAITING = ("waiting", "warming up")


@dataclasses.dataclass(slots=True, kw_only=True)
class Worker:
    """A process that joined a process group, as far as its messages tell of one of its windows.

    `began` is when that opened, in seconds since the epoch; `outcome` what came of publishing its trace.
    """

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
    window: int = 1
    began: float | None = None
    outcome: Published | str | None = None


class _Message(msgspec.Struct):
    event: str
    pid: int
    reason: str = ""
    trace: str | None = None
    gpu: str | None = None
    lasted_s: float | None = None
    still_to_come: str = ""
    version: str = ""
    window: int = 1
    time: float | None = None
    place: tuple[int, int, int] | None = None


# Made before threads come: the first two that decode a type at once crash msgspec 0.22.
_MESSAGE, _WORKER = msgspec.json.Decoder(_Message), msgspec.json.Decoder(Worker)


class Roster:
    """Each rank's latest state in each window, made from its messages."""

    def __init__(self) -> None:
        # By window and process; whoever appeared is in the first.
        self.windows: dict[int, dict[int, Worker]] = {1: {}}
        # How far the program is on each rank, as it was last asked.
        self.places: dict[int, tuple[int, int, int]] = {}
        # Versions of torch by process: of all that imported it.
        self.torch: dict[int, str] = {}

    def note(self, line: str | bytes) -> int:
        """Take one message in and return whose it is; raises ValueError for one that is not ours."""
        said = _MESSAGE.decode(line)
        if said.event == "torch":
            self.torch[said.pid] = said.version
        elif said.event == "hello":
            if said.pid not in self.workers:
                self.workers[said.pid] = _WORKER.decode(line)
        elif said.place is not None:
            self.places[said.pid] = said.place
        elif said.pid in self.workers:
            self._update(said)
        return said.pid

    def _update(self, said: _Message) -> None:
        worker = self.of_window(said.window).get(said.pid)
        if worker is not None and worker.trace is None:
            worker.state, worker.reason, worker.trace = said.event, said.reason, said.trace
            worker.gpu, worker.began = said.gpu or worker.gpu, said.time or worker.began
            worker.lasted_s, worker.still_to_come = said.lasted_s, said.still_to_come

    @property
    def workers(self) -> dict[int, Worker]:
        """All that appeared, as they are in the first window."""
        return self.windows[1]

    def of_window(self, number: int) -> dict[int, Worker]:
        """The processes in this window; one that is new has all those that appeared so far."""
        if number not in self.windows:
            self.windows[number] = {
                pid: dataclasses.replace(
                    one,
                    state="waiting",
                    reason="",
                    trace=None,
                    lasted_s=None,
                    still_to_come="",
                    window=number,
                    began=None,
                    outcome=None,
                )
                for pid, one in list(self.workers.items())
            }
        return self.windows[number]

    def latest(self) -> int:
        """The number of the latest window."""
        return max(self.windows)

    def now(self) -> list[Worker]:
        """All that appeared, each in the latest window that it is in."""
        found: dict[int, Worker] = {}
        for _, window in sorted(self.windows.items()):
            found |= window
        return list(found.values())


class Ranks(Roster):
    """Listens on `folder`/control and keeps each message in `folder`/messages, for a rescue."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._messages = folder / "messages"
        self._connections: list[socket.socket] = []
        self._of_worker: dict[int, socket.socket] = {}
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
                pid = self.note(line)
                self._of_worker[pid] = connection
                with contextlib.suppress(OSError), self._messages.open("a") as file:
                    file.write(line)

    def tell(self, pids: Iterable[int], order: dict[str, Any]) -> None:
        """Give an order to these processes."""
        for pid in pids:
            with contextlib.suppress(OSError, KeyError):
                self._of_worker[pid].sendall(msgspec.json.encode(order) + b"\n")

    def flush(self) -> None:
        """Ask every rank to end its window and export now."""
        self.tell(list(self.workers), {"do": "flush"})

    def busy(self) -> bool:
        """Whether a living rank still records or exports."""
        workers = [worker for window in list(self.windows.values()) for worker in list(window.values())]
        return any(worker.state in BUSY and is_alive(worker.pid) for worker in workers)

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


def is_alive(pid: int) -> bool:
    """Whether the process runs."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state != "Z"
