"""A launcher and its guard that were killed together: what their ranks exported is not lost."""

import fcntl
import json
import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from traceana_capture import leftover, runfile
from traceana_capture.launcher import collect
from traceana_capture.launcher.inject import inject
from traceana_capture.launcher.options import Options, Pairing
from traceana_capture.launcher.record import Plan, kept_plan
from traceana_capture.launcher.rescue import rescue_all
from traceana_capture.launcher.run_folder import Claim, claimed, refuse_earlier
from traceana_capture.launcher.workers import Worker
from traceana_capture.leftover import PLAN
from traceana_capture.lock import LOCK

from tests.commands import run
from tests.traces.base import good, pretty
from tests.unit.test_capture_collect import worker
from traceana.errors import TraceanaError
from traceana.trace.discover import discover


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """The scratch folder of a second node, with an exported trace."""
    scratch = tmp_path / ".run@gpu-1.1.scratch"
    scratch.mkdir(mode=0o700)
    (scratch / LOCK).touch()
    os.mknod(scratch / "control", stat.S_IFSOCK | 0o600)
    options = Options(argv=("train",), nccl={})
    inject(scratch, options)
    plan = Plan(options=options, label="run", repeat=None, started="", environment={})
    (scratch / PLAN).write_bytes(msgspec.json.encode(plan))
    about = {"rank": 0, "world_size": 1, "host": "h", "backend": "gloo", "versions": {}}
    messages = ({"event": "hello", "pid": 7, **about}, {"event": "recording", "pid": 7, "window": 1})
    (scratch / "messages").write_text("".join(json.dumps(message) + "\n" for message in messages))
    worker(Claim(folder=tmp_path / "run", scratch=scratch, lock=-1), 7, 0)
    return scratch


def test_it_is_published_also_where_the_runs_folder_is_gone(left: Path, tmp_path: Path) -> None:
    code, _, stderr = run("rescue", tmp_path / "run")
    assert (code, stderr.splitlines()[-1]) == (0, f"traceana: next: traceana analyze {tmp_path / 'run'}")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["rank0.json.gz", "run.json"]
    (part,) = (runfile.read(path) for path in runfile.files(tmp_path / "run"))
    assert (part.exit_code, [rank.outcome for rank in part.ranks]) == (137, ["complete"])
    with pytest.raises(TraceanaError, match="no trace is left there"):
        rescue_all(tmp_path / "run")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda scratch: scratch.chmod(0o777), "not a folder that traceana made for you"),
        (lambda scratch: (scratch / "8.1.gz").symlink_to("/dev/null"), "not a folder that traceana made for you"),
        (lambda scratch: os.mkfifo(scratch / "outcome.7.1.json"), "not a folder that traceana made for you"),
        (lambda scratch: replan(scratch, label="../run"), "of another run"),
        (lambda scratch: replan(scratch, label="other"), "of another run"),
    ],
)
def test_a_strangers_is_not_published(
    spoil: Callable[[Path], object], message: str, left: Path, tmp_path: Path
) -> None:
    spoil(left)
    with pytest.raises(TraceanaError, match=message):
        rescue_all(tmp_path / "run")
    assert [path.name for path in tmp_path.iterdir()] == [left.name]


def test_what_cannot_be_published_stays_for_another_try(
    left: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    another_rank(left, tmp_path)
    exported = {path.name: path.read_bytes() for path in left.glob("8.1.*")}
    publish = collect._publish

    def without_room(one: Worker, *rest: Any) -> Any:
        return publish(one, *rest) if one.rank == 0 else "the process that compressed it ended with -9"

    with monkeypatch.context() as patched:
        patched.setattr(collect, "_publish", without_room)
        with pytest.raises(TraceanaError, match=r"1 export could not be published.* \(8\.1\)"):
            rescue_all(tmp_path / "run")
    assert {path.name: path.read_bytes() for path in left.glob("8.1.*")} == exported
    rescue_all(tmp_path / "run")
    (part,) = (runfile.read(path) for path in runfile.files(tmp_path / "run"))
    assert [(rank.rank, rank.outcome) for rank in part.ranks] == [(0, "complete"), (1, "complete")]
    assert not left.exists()


def test_a_rescue_that_was_interrupted_is_finished(left: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it had failed to publish a trace before."""
    (left / "nccl.h.7.log").write_text("h:7:7 [0] NCCL INFO NCCL version 2.28.9+cuda13.0\n")
    publish = collect._publish
    another_rank(left, tmp_path)

    def without_room(one: Worker, *rest: Any) -> Any:
        return publish(one, *rest) if one.rank == 0 else "the process that compressed it ended with -9"

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(collect, "_publish", without_room)
        patched.setattr(runfile, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            rescue_all(tmp_path / "run")
    assert (tmp_path / "run" / "rank0.json.gz").exists()
    rescue_all(tmp_path / "run")
    (part,) = (runfile.read(path) for path in runfile.files(tmp_path / "run"))
    assert [rank.outcome for rank in part.ranks] == ["complete", "complete"]
    assert [(log.rank, log.file, log.version) for log in part.nccl.ranks] == [(0, "nccl.rank0.log", "2.28.9")]


def test_what_is_half_removed_is_no_run_that_lost_its_traces(
    left: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(folder: Path, **_: object) -> None:
        (folder / "messages").unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", interrupted)
        with pytest.raises(KeyboardInterrupt):
            rescue_all(tmp_path / "run")
    assert list(left.glob("outcome.*"))
    with pytest.raises(TraceanaError, match="no trace is left"):
        rescue_all(tmp_path / "run")
    (part,) = (runfile.read(path) for path in runfile.files(tmp_path / "run"))
    assert [rank.outcome for rank in part.ranks] == ["complete"]


def test_where_run_json_cannot_be_written_all_stays(
    left: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(runfile, "write", full)
        with pytest.raises(TraceanaError, match=r"No space left on device.*; all that is there stays"):
            rescue_all(tmp_path / "run")
    assert leftover.of_run(tmp_path / "run") == [left]
    rescue_all(tmp_path / "run")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_what_no_message_tells_of_stays(left: Path, tmp_path: Path) -> None:
    """A full disk has no room for messages."""
    (left / "messages").write_text("")
    with pytest.raises(TraceanaError, match=r"1 export could not be published.*\(7\.1\)"):
        rescue_all(tmp_path / "run")
    assert (left / "7.1.json").exists()


def test_what_is_never_to_be_published_stops_no_rescue(left: Path, tmp_path: Path) -> None:
    """A second process of a rank, and a trace that --keep removed."""
    another_rank(left, tmp_path, rank=0)
    dropped = msgspec.json.encode("removed, because --keep 6 keeps newer windows")
    another_rank(left, tmp_path, pid=9)
    for export in left.glob("9.1.*"):
        export.unlink()
    (left / "outcome.9.1.json").write_bytes(dropped)
    rescue_all(tmp_path / "run")
    (part,) = (runfile.read(path) for path in runfile.files(tmp_path / "run"))
    assert [(rank.rank, rank.outcome, rank.reason.partition(",")[0]) for rank in part.ranks] == [
        (0, "complete", "traceana was killed"),
        (0, "missing", "process 7 was rank 0 too"),
        (1, "missing", "removed"),
    ]
    assert not left.exists()


def test_one_that_cannot_be_rescued_stops_no_other(left: Path, tmp_path: Path) -> None:
    shutil.copytree(left, tmp_path / ".run@gpu-0.0.scratch", symlinks=True, ignore=lambda *_: ["control"])
    (tmp_path / ".run@gpu-0.0.scratch" / PLAN).write_text("{")
    (tmp_path / ".run@gpu-0.0.scratch").chmod(0o700)
    with pytest.raises(TraceanaError, match=r"gpu-0\.0\.scratch cannot be published"):
        rescue_all(tmp_path / "run")
    assert (tmp_path / "run" / "rank0.json.gz").exists()
    assert not left.exists()


def test_a_plan_of_an_older_version_is_read(left: Path, tmp_path: Path) -> None:
    """Which knew pairs on torch and PyNccl alone, by the operation, and neither nodes nor windows."""
    plan = json.loads((left / PLAN).read_bytes())
    for name in ("every_s", "keep", "shared"):
        del plan["options"][name]
    del plan["job"]
    plan["options"]["paired"] = ["broadcast"]
    (left / PLAN).write_text(json.dumps(plan))
    assert kept_plan(left).options.paired == (Pairing(operation="broadcast", backends=("torch", "pynccl")),)
    rescue_all(tmp_path / "run")
    (part,) = (runfile.read(path) for path in runfile.files(tmp_path / "run"))
    assert part.backend.paired == ("broadcast",)


def test_a_run_that_is_refused_leaves_what_could_be_rescued(left: Path, tmp_path: Path) -> None:
    own = left.rename(tmp_path / ".run.scratch")
    (tmp_path / "run").symlink_to(tmp_path)
    with pytest.raises(TraceanaError, match="leads elsewhere"), claimed(tmp_path, "run", True):
        pass
    (tmp_path / "run").unlink()
    assert leftover.of_run(tmp_path / "run") == [own]
    rescue_all(tmp_path / "run")


def another_rank(left: Path, tmp_path: Path, *, pid: int = 8, rank: int = 1) -> None:
    worker(Claim(folder=tmp_path / "run", scratch=left, lock=-1), pid, rank)
    about = {"rank": rank, "world_size": 2, "host": "h", "backend": "gloo", "versions": {}}
    messages = ({"event": "hello", "pid": pid, **about}, {"event": "recording", "pid": pid, "window": 1})
    with (left / "messages").open("a") as file:
        file.writelines(json.dumps(message) + "\n" for message in messages)


def test_a_publisher_that_outlives_its_rescue_is_left_to_end(
    left: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[bytes]] = []

    class Slow(subprocess.Popen[bytes]):
        def __init__(self, argv: list[str], **options: Any) -> None:
            super().__init__(["sleep", "60"], **options)
            started.append(self)

        def communicate(self, *_: object, **__: object) -> tuple[bytes, bytes]:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(subprocess, "Popen", Slow)
        with pytest.raises(KeyboardInterrupt):
            rescue_all(tmp_path / "run")
    with pytest.raises(TraceanaError, match="its run goes on"):
        rescue_all(tmp_path / "run")
    for process in started:
        process.kill()
        subprocess.Popen.wait(process)
        assert process.stdout is not None
        process.stdout.close()
    rescue_all(tmp_path / "run")
    assert (tmp_path / "run" / "rank0.json.gz").exists()


@pytest.mark.parametrize(
    ("named", "said"),
    [("", "`traceana rescue .*run` does so"), ("/", "no trace is left"), ("none", "no trace is left")],
)
def test_who_names_no_run_is_told_which_there_is(named: str, said: str, left: Path, tmp_path: Path) -> None:
    with pytest.raises(TraceanaError, match=said):
        rescue_all(tmp_path / named)
    assert list(left.glob("*.calls"))


def replan(scratch: Path, **changes: str) -> None:
    plan = json.loads((scratch / PLAN).read_bytes())
    (scratch / PLAN).write_text(json.dumps(plan | changes))


@pytest.mark.parametrize("named", ["", "run"])
def test_who_looks_for_traces_is_told(named: str, left: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    said = f"{run}: traceana was killed before it published all traces: `traceana rescue {run}`"
    with pytest.raises(TraceanaError, match="no trace found") as refused:
        discover([tmp_path / named])
    assert said in str(refused.value)
    (run / "rank0.json").write_bytes(pretty(good()))
    assert [note.startswith(said) for note in discover([tmp_path / named]).passed_over] == [True]


def test_a_launcher_that_lives_left_nothing(left: Path, tmp_path: Path) -> None:
    lock = os.open(left / LOCK, os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    assert leftover.of_run(tmp_path / "run") == []
    os.close(lock)
    assert leftover.of_run(tmp_path / "run") == [left]
    (left / PLAN).unlink()
    assert leftover.of_run(tmp_path / "run") == []


def test_the_next_run_does_not_throw_it_away_unless_it_is_forced(left: Path, tmp_path: Path) -> None:
    with pytest.raises(TraceanaError, match=r"traceana rescue .* --force forgets them"):
        refuse_earlier([tmp_path / "run"], False)
    with pytest.raises(TraceanaError, match="traceana rescue"), claimed(tmp_path, "run", False):
        pass
    assert (left / "7.1.json").exists()
    with claimed(tmp_path, "run", True):
        pass
    assert not left.exists()
    assert leftover.of_run(tmp_path / "run") == []
