"""The server gives away the named files below its secret path, and nothing else; it ends with its page."""

import http.client
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
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
def get(server: TraceServer, path: str) -> Iterator[http.client.HTTPResponse]:
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=LIMIT_S)) as connection:
        connection.request("GET", path, headers={"Connection": "close"})
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
