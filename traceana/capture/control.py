"""The launcher's control socket: what each rank said about itself, in a folder that only this user can enter."""

import contextlib
import dataclasses
import json
import os
import socket
import threading
from pathlib import Path
from typing import Any


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


class Ranks:
    """Listens on the socket and holds each rank's latest state."""

    def __init__(self, path: Path) -> None:
        self.workers: dict[int, Worker] = {}
        self._connections: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX)
        # A socket's path may have 108 bytes and a run folder's may be longer, so it is reached through its directory.
        directory = os.open(path.parent, os.O_RDONLY)
        self._listener.bind(f"/proc/self/fd/{directory}/{path.name}")
        os.close(directory)
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._connections.append(connection)
                threading.Thread(target=self._listen, args=(connection,), daemon=True).start()

    def _listen(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), connection.makefile() as lines:
            for line in lines:
                self._note(json.loads(line))

    def _note(self, message: dict[str, Any]) -> None:
        event, pid = message.pop("event"), int(message["pid"])
        if event == "hello":
            self.workers[pid] = Worker(**message)
        elif pid in self.workers:
            worker = self.workers[pid]
            worker.state, worker.reason = str(event), str(message.get("reason", ""))
            worker.trace = str(message["trace"]) if "trace" in message else None

    def flush(self) -> None:
        """Ask every rank to end its window and export now."""
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.sendall(b"flush\n")

    def busy(self) -> bool:
        """Whether a living rank still records or exports."""
        return any(w.state in ("recording", "exporting") and _alive(w.pid) for w in list(self.workers.values()))

    def close(self) -> None:
        """Stop listening."""
        for connection in [*self._connections, self._listener]:
            connection.close()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state != "Z"
