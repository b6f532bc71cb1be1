"""The server gives away the named files below its secret path, and nothing else; it ends with its page."""

import http.client
import os
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from traceana.perfetto.handover import launcher
from traceana.perfetto.server import TraceServer

LIMIT_S = 30
HOSTILE = '"><script>alert(1)</script>'


@pytest.fixture
def server(tmp_path: Path) -> Iterator[TraceServer]:
    (tmp_path / "trace.json.gz").write_bytes(b"\x1f\x8bbytes")
    (tmp_path / "secret").write_text("secret")
    ui = tmp_path / "ui"
    ui.mkdir()
    (ui / "index.html").write_text("<p>ui")
    (ui / "link").symlink_to(tmp_path / "secret")
    with TraceServer({"trace.json.gz": tmp_path / "trace.json.gz"}, ui) as made:
        made.page = launcher(ui="ui/", trace="trace.json.gz", title=HOSTILE, description="1 MiB", offline=True)
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.shutdown()
        thread.join(LIMIT_S)
        assert not thread.is_alive()


@contextmanager
def get(server: TraceServer, path: str, **headers: str) -> Iterator[http.client.HTTPResponse]:
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=LIMIT_S)) as connection:
        connection.request("GET", path, headers={"Connection": "close", **headers})
        with connection.getresponse() as response:
            yield response


def test_it_is_bound_to_this_machine_alone(server: TraceServer) -> None:
    assert server.server_address[0] == "127.0.0.1"


def test_the_trace_comes_as_it_is(server: TraceServer) -> None:
    with get(server, f"{server.prefix}trace.json.gz") as response:
        assert (response.status, response.read()) == (200, b"\x1f\x8bbytes")
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Content-Encoding"] is None


def test_the_page_escapes_names_and_admits_its_own_script_alone(server: TraceServer) -> None:
    with get(server, server.prefix) as response:
        body = response.read().decode()
    assert HOSTILE not in body
    assert "&#34;&gt;&lt;script&gt;alert(1)" in body
    policy = response.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; connect-src 'self'; ")
    assert "unsafe" not in policy


@pytest.mark.parametrize(
    "path",
    ["", "secret", "../secret", "ui/../../secret", "ui/%2e%2e/secret", "ui/link", "ui//etc/passwd", "trace.json.gz/"],
)
def test_nothing_else_is_served(server: TraceServer, path: str) -> None:
    wrong = "/" if not path else f"{server.prefix}{path}"
    with get(server, wrong) as response:
        assert response.status == 404
        assert b"secret" not in response.read()


def test_without_the_secret_there_is_no_trace(server: TraceServer) -> None:
    with get(server, "/trace.json.gz") as response:
        assert response.status == 404


def test_the_bundled_ui_is_served_below_the_secret(server: TraceServer) -> None:
    with get(server, f"{server.prefix}ui/") as response:
        assert (response.status, response.read()) == (200, b"<p>ui")


def test_it_ends_after_the_last_page_and_not_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("traceana.perfetto.server._GRACE_S", 0.1)
    monkeypatch.setattr("traceana.perfetto.server._BEAT_S", 0.05)
    server = TraceServer({}, None)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    with get(server, f"{server.prefix}alive") as last:
        with get(server, f"{server.prefix}alive") as first:
            assert first.readline() == last.readline() == b": here\n"
        # A second of beats is ten times as long as the server waits for another page.
        assert {last.readline() for _ in range(40)} == {b"\n", b": here\n"}
        assert thread.is_alive()
    thread.join(LIMIT_S)
    server.server_close()
    assert not thread.is_alive()


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1", 200), ("localhost:8123", 200), ("[::1]:8123", 200), ("evil.example", 403), ("evil.example:80", 403)]
    + [(host, 403) for host in ("127.0.0.1.evil.example", "", "localhost.", "127.0.0.1:80:80", "0.0.0.0")],
)
def test_a_page_elsewhere_whose_name_leads_here_gets_nothing(server: TraceServer, host: str, status: int) -> None:
    with get(server, f"{server.prefix}trace.json.gz", Host=host) as response:
        assert response.status == status


@pytest.mark.parametrize(
    "path",
    ["//[", "/%00", "ui/%00", "ui/" + "a" * 5_000, "ui/loop", "ui/%ff%fe", "ui/%", "?a", "gone.json", "pipe"],
)
def test_odd_paths_are_not_found_and_print_nothing(
    server: TraceServer, capfd: pytest.CaptureFixture[str], path: str
) -> None:
    assert server.ui is not None
    (server.ui / "loop").symlink_to(server.ui / "loop")
    os.mkfifo(server.ui.parent / "pipe")
    server.files |= {"gone.json": server.ui / "gone", "pipe": server.ui.parent / "pipe"}
    with get(server, path if path.startswith("/") else f"{server.prefix}{path}") as response:
        assert response.status == (200 if path.startswith("?") else 404)
    assert capfd.readouterr().err == ""


def test_a_reader_that_leaves_prints_nothing_and_ends_nothing(
    server: TraceServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "trace.json.gz").write_bytes(bytes(32 << 20))
    with socket.create_connection(("127.0.0.1", server.port), LIMIT_S) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.sendall(f"GET {server.prefix}trace.json.gz HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert client.recv(100)
    with get(server, f"{server.prefix}ui/") as response:
        assert response.status == 200
    assert capfd.readouterr().err == ""


def test_connections_are_bounded_and_free_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("traceana.perfetto.server._MOST_CONNECTIONS", 3)
    with TraceServer({}, None) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        held = [socket.create_connection(("127.0.0.1", server.port), LIMIT_S) for _ in range(8)]
        for client in held[3:]:
            assert client.recv(1) == b""
        for client in held:
            client.close()
        assert _comes_free(server)
        server.shutdown()
        thread.join(LIMIT_S)


def _comes_free(server: TraceServer) -> bool:
    """Whether a request is answered before long, now that the others have left."""
    for _ in range(1_000):
        with suppress(OSError, http.client.HTTPException), get(server, server.prefix) as response:
            return response.status == 200
    return False
