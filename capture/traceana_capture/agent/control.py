"""The worker's end of the launcher's control socket: JSON, one message a line."""

import json
import os
import socket
import threading
from collections.abc import Callable
from typing import Any


class Control:
    """Speaks to the launcher; silent when the launcher is gone, because the program matters more than its trace."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._socket: socket.socket | None = None

    def connect(self, on_order: Callable[[dict[str, Any]], None]) -> bool:
        """Connect, and have the launcher's orders come to `on_order`; its end is one to end. False where it is gone."""
        if self._socket is None:
            self._socket = connected(self.path)
            if self._socket is not None:
                threading.Thread(target=self._listen, args=(self._socket, on_order), daemon=True).start()
        return self._socket is not None

    def is_connected(self) -> bool:
        """Whether the launcher was there when something was last said."""
        return self._socket is not None

    def _listen(self, connection: socket.socket, on_order: Callable[[dict[str, Any]], None]) -> None:
        try:
            # A file of the socket's would keep it open when a forked child closes it.
            said = b""
            while piece := connection.recv(4096):
                *lines, said = (said + piece).split(b"\n")
                for line in lines:
                    on_order(json.loads(line))
        except (OSError, ValueError):
            return
        on_order({"do": "end"})

    def send(self, **message: Any) -> None:
        """Send one message with this process's id."""
        if self._socket is None:
            return
        try:
            self._socket.sendall(json.dumps({"pid": os.getpid(), **message}).encode() + b"\n")
        except OSError:
            self._socket = None

    def forget(self) -> None:
        """In a forked child: the connection is the parent's, and must not outlive it here."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None


def connected(path: str) -> socket.socket | None:
    """A connection to the launcher, or None where it is gone."""
    connection = socket.socket(socket.AF_UNIX)
    folder, name = os.path.split(path)
    try:
        # A socket's path may have 108 bytes, so it is reached through its directory.
        directory = os.open(folder, os.O_RDONLY)
        try:
            connection.connect(f"/proc/self/fd/{directory}/{name}")
        finally:
            os.close(directory)
    except OSError:
        connection.close()
        return None
    return connection
