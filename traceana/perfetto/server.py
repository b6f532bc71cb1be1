"""A server on 127.0.0.1 that hands one trace to a page on this machine, and ends with that page.

Everything is below a path that cannot be guessed, and only named files are served. Who asks by another host's name gets
nothing: a page elsewhere does, once its name leads to 127.0.0.1 (DNS rebinding). The page holds a connection open
(`alive`) that its browser closes with it; a timer in the page would not do, since browsers slow those of hidden pages.
"""

import mimetypes
import os
import secrets
import shutil
import threading
import time
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec
from traceana_capture.reading import open_regular

_HOSTS = ("127.0.0.1", "localhost", "[::1]")
# A browser opens six to a host; more than these wait for nobody.
_MOST_CONNECTIONS = 64
_IDLE_S = 60.0
_GRACE_S = 3.0
_BEAT_S = 0.5


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A generated page and its content policy."""

    body: bytes
    policy: str


class TraceServer(ThreadingHTTPServer):
    """Serves `page` at `url`, files of `files` by name, and with `ui` the files of that folder below `url` + "ui/"."""

    daemon_threads = True

    def __init__(self, files: Mapping[str, Path], ui: Path | None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files = dict(files)
        self.ui = ui.resolve() if ui else None
        self.prefix = f"/{secrets.token_urlsafe(24)}/"
        self.page = Page(body=b"", policy="")
        self._pages = 0
        self._lock = threading.Lock()
        self._free = threading.BoundedSemaphore(_MOST_CONNECTIONS)

    @property
    def port(self) -> int:
        """The port that the system chose."""
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self.port}{self.prefix}"

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread of its own, or not at all where there are too many."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """What the thread does."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a page that went away in the middle; the terminal is the user's."""

    def page_came(self) -> None:
        """A page has opened its connection."""
        with self._lock:
            self._pages += 1

    def page_went(self) -> None:
        """A page has closed its connection; without another one soon (a reload makes one) the server ends."""
        with self._lock:
            self._pages -= 1
        timer = threading.Timer(_GRACE_S, self._end_if_alone)
        timer.daemon = True
        timer.start()

    def _end_if_alone(self) -> None:
        with self._lock:
            alone = self._pages == 0
        if alone:
            self.shutdown()

    def file(self, path: str) -> Path | None:
        """The file of a path below the prefix, or None where there is none to serve."""
        if path in self.files:
            return self.files[path]
        below, _, name = path.partition("/")
        if self.ui is None or below != "ui":
            return None
        try:
            found = (self.ui / (name or "index.html")).resolve()
            return found if found.is_relative_to(self.ui) and found.is_file() else None
        except (OSError, ValueError, RuntimeError):  # too long, with a zero byte, a loop of links
            return None


class _Handler(BaseHTTPRequestHandler):
    """Answers GET below the server's prefix; anything else is not found."""

    server: TraceServer
    protocol_version = "HTTP/1.1"
    timeout = _IDLE_S

    def do_GET(self) -> None:
        path = unquote(self.path.partition("?")[0])
        host = self.headers.get("Host", "").rpartition(":")
        if (host[0] or host[2]) not in _HOSTS:
            self.send_error(HTTPStatus.FORBIDDEN)
        elif not secrets.compare_digest(path[: len(self.server.prefix)].encode(), self.server.prefix.encode()):
            self.send_error(HTTPStatus.NOT_FOUND)
        else:
            self._answer(path.removeprefix(self.server.prefix))

    def _answer(self, name: str) -> None:
        if not name:
            self._send_page(self.server.page)
        elif name == "alive":
            self._stay()
        elif (file := self.server.file(name)) is not None:
            self._send_file(file)
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def end_headers(self) -> None:
        for name, value in (
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
            ("Cache-Control", "no-store"),
        ):
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the terminal is the user's."""

    def _send_page(self, page: Page) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Security-Policy", page.policy)
        self.send_header("Content-Length", str(len(page.body)))
        self.end_headers()
        self.wfile.write(page.body)

    def _send_file(self, path: Path) -> None:
        try:
            opened = open_regular(path)
        except OSError:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        with opened as file:
            self.send_response(HTTPStatus.OK)
            # Never Content-Encoding: Perfetto is to get the bytes of the file, and unpacks them itself.
            kind, encoding = mimetypes.guess_type(path.name)
            self.send_header("Content-Type", "application/octet-stream" if encoding or not kind else kind)
            self.send_header("Content-Length", str(os.fstat(file.fileno()).st_size))
            self.end_headers()
            shutil.copyfileobj(file, self.wfile, 1 << 20)

    def _stay(self) -> None:
        """Send a comment now and then, as long as the page listens."""
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.server.page_came()
        try:
            while True:
                self.wfile.write(b": here\n\n")
                time.sleep(_BEAT_S)
        except OSError:
            self.server.page_went()
