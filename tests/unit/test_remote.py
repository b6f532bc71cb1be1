"""Traces in object stores: the same report as from a disk, and no credentials in any message."""

import errno
import os
import shutil
import socket
import subprocess
import sys
import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.commands import refused, traceana
from traceana import api
from traceana.comparing.inputs import Inputs, in_order
from traceana.errors import TraceanaError
from traceana.saved.beside import FOLDER
from traceana.trace.discover import discover
from traceana.trace.manifest import read_manifest
from traceana.trace.remote import RemotePath, located
from traceana.trace.stream import ByteStream

fsspec = pytest.importorskip("fsspec")
RUN = Path(__file__).parents[1] / "traces" / "h200" / "torch-2r"
SECRETS = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY")


@pytest.fixture
def bucket() -> Iterator[str]:
    store = fsspec.filesystem("memory")
    for file in RUN.glob("*.json.gz"):
        store.pipe(f"/bucket/run/torch-2r/{file.name}", file.read_bytes())
    store.pipe("/bucket/run/.hidden/rank0.json", b"{}")
    yield "memory://bucket/run"
    store.rm("/bucket", recursive=True)


def test_a_run_in_a_store_is_told_as_on_a_disk(bucket: str, tmp_path: Path) -> None:
    def report(paths: str, name: str) -> str:
        traceana("analyze", paths, "-o", tmp_path / name, "--workers", "1")
        return (tmp_path / name / "report.json").read_text()

    traceana("measure", f"{bucket}/torch-2r", "-o", tmp_path / "part", "--workers", "1")
    told = report(f"{bucket}/torch-2r", "remote")
    assert report(str(tmp_path / "part"), "joined") == told
    here = Path(str(tmp_path), "torch-2r")
    here.symlink_to(RUN)
    assert report(str(here), "local").replace(here.as_posix(), f"{bucket}/torch-2r") == told
    assert not fsspec.filesystem("memory").exists(f"/bucket/run/torch-2r/{FOLDER}")


def test_an_object_is_read_in_blocks(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = located(f"{bucket}/torch-2r/rank0.json.gz")
    whole = b"".join(ByteStream(RUN / "rank0.json.gz"))
    asked: list[int] = []
    memory_file = type(fsspec.filesystem("memory").store["/bucket/run/torch-2r/rank0.json.gz"])
    read = memory_file.read

    def counted(self: object, size: int = -1) -> bytes:
        asked.append(size)
        return bytes(read(self, size))

    monkeypatch.setattr(memory_file, "read", counted)
    assert b"".join(ByteStream(opened)) == whole
    assert 0 < max(asked) <= 1 << 20
    assert min(asked) > 0


def test_a_runs_manifest_is_found_in_a_store(bucket: str) -> None:
    fsspec.filesystem("memory").pipe("/bucket/run/torch-2r/run.json", b'{"schema_version": 1, "label": "mine"}')
    folder = located(f"{bucket}/torch-2r")
    assert [path.name for path in folder.iterdir()] == ["rank0.json.gz", "rank1.json.gz", "run.json"]
    assert read_manifest(folder).label == "mine"
    assert [run.label for run in discover([folder]).runs] == ["mine"]


def test_paths_of_a_store_are_paths() -> None:
    path = located("memory://bucket/a//b/")
    assert (str(path), path.name, str(path.parent), str(path / "c")) == (
        "memory://bucket/a/b",
        "b",
        "memory://bucket/a",
        "memory://bucket/a/b/c",
    )
    assert isinstance(path / "c", RemotePath)
    assert located("s3/x") == Path("s3/x")
    assert "no such file" in refused("analyze", "memory://bucket/none")


def test_a_url_with_credentials_is_refused_without_showing_them() -> None:
    slashed = f"{SECRETS[0]}:a/{SECRETS[1]}"
    for url in (
        f"s3://{':'.join(SECRETS)}@bucket/run",
        f"s3://{slashed}@bucket/run",
        f"s3://bucket/run?X-Amz-Signature={SECRETS[1]}",
    ):
        said = refused("analyze", url)
        assert "s3://…: no credentials belong in a URL" in said
        assert not any(secret in said for secret in SECRETS)


def test_what_a_store_says_is_shown_without_its_secrets(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError(
            f"403 for https://x/y?X-Amz-Credential={SECRETS[0]}%2F2026&X-Amz-Signature={SECRETS[1]} by {SECRETS[0]}\n"
            f"Authorization: Bearer {SECRETS[1]} secret_key='{SECRETS[1]}'"
        )

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "isfile", fails)
    said = refused("analyze", bucket)
    assert bucket in said
    assert "cannot be looked at (RuntimeError: 403" in said
    assert not any(secret in said for secret in SECRETS)


def test_runs_below_a_prefix_have_their_names_there() -> None:
    store, file = fsspec.filesystem("memory"), RUN / "rank0.json.gz"
    for name in ("a/mine.1", "a/mine.2", "b"):
        store.pipe(f"/prefix/{name}/rank0.json.gz", file.read_bytes())
    try:
        runs = discover([located("memory://prefix")]).runs
    finally:
        store.rm("/prefix", recursive=True)
    assert [(run.label, run.side, run.repeat) for run in runs] == [
        ("a/mine.1", "a/mine", 1),
        ("a/mine.2", "a/mine", 2),
        ("b", "b", None),
    ]


def test_runs_in_stores_are_in_the_order_of_their_urls() -> None:
    paths = (located("memory://pair/later"), located("memory://pair/earlier"))
    runs: Any = [types.SimpleNamespace(report=types.SimpleNamespace(path=str(path))) for path in paths]
    inputs = Inputs(paths=paths, traces=paths, reports=(), perf_dumps=())
    assert in_order(inputs, runs[::-1], {}) == runs


def test_a_run_in_a_store_is_read_from_python(bucket: str) -> None:
    assert api.read(f"{bucket}/torch-2r").label == "torch-2r"


def test_a_url_is_no_folder_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "s3://… is not on a disk" in refused("analyze", str(RUN), "-o", "s3://bucket/report")
    assert "memory://… is not on a disk" in refused("open", "memory://bucket/run")
    assert "https://… is no URL that traces are read from" in refused("analyze", "https://me:word@host/run")
    assert list(tmp_path.iterdir()) == []


def names_in(folder: str) -> list[str]:
    return sorted(name.rpartition("/")[2] for name in fsspec.filesystem("memory").find(folder))


@pytest.fixture
def part_bucket() -> Iterator[str]:
    yield "memory://parts/of/run"
    fsspec.filesystem("memory").rm("/parts", recursive=True)


def test_parts_in_a_store_are_joined_as_those_on_a_disk(part_bucket: str, tmp_path: Path) -> None:
    for number in ("1", "2"):
        for place in (part_bucket, str(tmp_path / "parts")):
            traceana("measure", RUN, "-o", f"{place}/{number}", "--share", f"{number}/2", "--workers", "1")
    for name, places in {
        "disk": (str(tmp_path / "parts"),),
        "prefix": (part_bucket,),
        "each": (f"{part_bucket}/1", f"{part_bucket}/2"),
    }.items():
        traceana("analyze", *places, "-o", tmp_path / name)
    reports = {(tmp_path / name / "report.json").read_bytes() for name in ("disk", "prefix", "each")}
    assert len(reports) == 1
    # A part that is measured again takes the place of the earlier one.
    before = names_in("/parts/of/run/1")
    traceana("measure", RUN, "-o", f"{part_bucket}/1", "--share", "1/2", "--workers", "1")
    after = names_in("/parts/of/run/1")
    assert (len(before), len(after), after[0]) == (2, 2, "part.json")
    assert before != after
    other = ("measure", RUN, "-o", f"{part_bucket}/1", "--share", "2/2", "--workers", "1")
    assert "holds a part of other traces" in refused(*other)
    assert names_in("/parts/of/run/1") == after


def test_what_a_store_says_of_parts_is_shown_without_its_secrets(
    part_bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    traceana("measure", RUN, "-o", f"{part_bucket}/1", "--share", "1/2", "--workers", "1")

    def fails(*_: object, **__: object) -> None:
        raise RuntimeError(f"403 by {SECRETS[0]} secret_key='{SECRETS[1]}'")

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "open", fails)
    said = (
        refused("analyze", part_bucket, "-o", tmp_path),
        refused("measure", RUN, "-o", f"{part_bucket}/2", "--workers", "1"),
    )
    assert f"{part_bucket}/1: cannot be read" in said[0]
    assert f"{part_bucket}/2: cannot be written (RuntimeError: 403" in said[1]
    assert not any(secret in words for secret in SECRETS for words in said)


def test_a_full_disk_is_named_where_a_part_is_copied(
    part_bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    traceana("measure", RUN, "-o", f"{part_bucket}/1", "--workers", "1")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    assert "no space for a copy in" in refused("analyze", part_bucket, "-o", tmp_path)


@pytest.mark.parametrize(("url", "extra"), [("s3://bucket/run", "s3"), ("gs://bucket/run", "gs")])
def test_a_missing_package_is_named(url: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(TraceanaError, match=rf"pip install 'traceana\[{extra}\]'"):
        located(url)


@pytest.fixture
def s3_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    pytest.importorskip("s3fs")
    pytest.importorskip(
        "moto.server", reason="moto is not installed, which brings an S3 server: pip install 'moto[server]'"
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    for name, value in zip(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), SECRETS, strict=True):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    try:
        deadline = time.monotonic() + 60
        while not _listens(port):
            assert server.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield url
    finally:
        server.terminate()
        server.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_run_on_an_s3_server_is_told_as_on_a_disk(s3_server: str, tmp_path: Path) -> None:
    store = fsspec.filesystem("s3", endpoint_url=s3_server)
    store.mkdir("traces")
    for file in RUN.glob("*.json.gz"):
        store.put(str(file), f"traces/torch-2r/{file.name}")
    command = [sys.executable, "-m", "traceana"]

    def said(*words: str, **environment: str) -> str:
        return subprocess.run(
            [*command, *words], env={**os.environ, **environment}, capture_output=True, text=True, check=False
        ).stderr

    said("analyze", "s3://traces/torch-2r", "-o", str(tmp_path / "remote"), "--workers", "2")
    said("analyze", str(RUN), "-o", str(tmp_path / "local"), "--no-cache")
    told = (tmp_path / "remote" / "report.json").read_text()
    assert (tmp_path / "local" / "report.json").read_text().replace(RUN.as_posix(), "s3://traces/torch-2r") == told
    said("measure", "s3://traces/torch-2r", "-o", "s3://traces/parts/1", "--workers", "1")
    said("analyze", "s3://traces/parts", "-o", str(tmp_path / "joined"))
    assert (tmp_path / "joined" / "report.json").read_text() == told
    assert "no such file or folder" in said("analyze", "s3://traces/none", "-o", str(tmp_path / "none"))
    refusal = said("analyze", "s3://traces/torch-2r", AWS_ENDPOINT_URL="http://127.0.0.1:9")
    assert "s3://traces/torch-2r" in refusal
    assert "cannot be looked at" in refusal
    assert len(refusal.splitlines()) == 1
    assert not any(secret in refusal for secret in SECRETS)
