"""`traceana.capture`: a block of one's own program, recorded on each rank that runs it, without a launcher."""

import contextlib
import dataclasses
import os
import shutil
import socket
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from traceana.errors import TraceanaError
from traceana.needs import need
from traceana.plain import say
from traceana.trace.remote import refuse_url
from traceana_capture import runfile
from traceana_capture.launcher.captured_run import recorded
from traceana_capture.launcher.clock import now
from traceana_capture.launcher.collect import collect
from traceana_capture.launcher.job import Job
from traceana_capture.launcher.options import Options
from traceana_capture.launcher.record import Plan, Record, report
from traceana_capture.launcher.run_folder import Claim, claimed
from traceana_capture.launcher.status import Status
from traceana_capture.launcher.workers import Roster, Worker

_ENDED = "the process ended inside the block"
# One window a process.
_one = threading.Lock()
_recorder: "_Recorder | None" = None


@contextlib.contextmanager
def capture(
    folder: str | Path,
    *,
    shapes: bool = False,
    stacks: bool = False,
    memory: bool = False,
    max_collectives: int = 20_000,
    max_memory_mib: int = 1024,
    force: bool = False,
) -> Iterator[Path]:
    """Record what this rank does in the block, as `traceana capture` would: its trace and its part of run.json.

    Every rank that is to be seen runs the block, with the same `folder`, which `traceana analyze` reads then. The
    options mean what they mean for `traceana capture`. Blocks that follow each other have a folder each; a block inside
    another belongs to that one. What the block raises goes on, and its trace is kept. Where something else records
    already (`traceana capture`, another block, the program's own profiler), or recording fails, the block runs
    unrecorded, which stderr says.

    Raises TraceanaError where `folder` cannot be had, holds another run and `force` is not given, or torch is missing.
    """
    need("torch", "traceana.capture")
    if not sys.platform.startswith("linux"):
        raise TraceanaError("traceana.capture needs Linux")
    options = Options(
        argv=tuple(sys.orig_argv),
        shapes=shapes,
        stacks=stacks,
        memory=memory,
        max_collectives=max_collectives,
        max_memory_mib=max_memory_mib,
        nccl={},
    )
    refuse_url(folder, "is not on a disk of this machine, and a block is recorded to one")
    target = Path(folder).absolute()
    if not _one.acquire(blocking=False):
        say(f"traceana: {folder} is not recorded: another block is, and this one counts as part of it", err=True)
        yield target
        return
    try:
        with _recording(target, options, force=force):
            yield target
    finally:
        _one.release()


@contextlib.contextmanager
def _recording(folder: Path, options: Options, *, force: bool) -> Iterator[None]:
    from traceana_capture.agent import entry

    if entry.recorded:
        say(f"traceana: {folder} is not recorded: `traceana capture` records this process already", err=True)
        yield
        return
    pid, code = os.getpid(), 1
    with _run(folder, options, force=force) as run:
        with _said(folder):
            _prepared().begin(run)
        try:
            yield
            code = 0
        finally:
            # A child that the block forked leaves it too.
            if os.getpid() == pid:
                with _said(folder):
                    _prepared().end(run, code)


@contextlib.contextmanager
def _said(folder: Path) -> Iterator[None]:
    """What goes wrong with recording is said, and costs the program nothing."""
    try:
        yield
    except Exception as error:
        say(
            f"traceana: {folder} is not recorded: {error if isinstance(error, TraceanaError) else repr(error)}",
            err=True,
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """What is known of a block before it is recorded."""

    plan: Plan
    claim: Claim

    def write(self, worker: Worker, code: int) -> runfile.RunFile:
        """Publish what this rank recorded, and write its part of run.json, or all of it where it is the only one."""
        collected = collect([worker], self.claim, (), Status(live=False))
        file = Record(self.plan, self.claim).run_file(1, [worker], collected, code, self.claim)
        runfile.write(
            dataclasses.replace(file, window=dataclasses.replace(file.window, duration_s=None)),
            self.claim.folder,
            self.claim.scratch,
        )
        return file


@contextlib.contextmanager
def _run(folder: Path, options: Options, *, force: bool) -> Iterator[_Run]:
    """The folder, taken for this rank, with a run.json that says that its block has no end yet."""
    from traceana_capture.agent import presence, rank

    facts = rank.facts()
    job = _job(facts["rank"]) if facts["world_size"] > 1 else None
    with claimed(folder.parent, folder.name, force, job=job) as claim:
        plan = Plan(
            options=options,
            label=folder.name,
            repeat=None,
            started=now(),
            environment=recorded(os.environ, claim.scratch),
            job=job,
        )
        run = _Run(plan=plan, claim=claim)
        host, versions = socket.gethostname(), presence.versions()
        run.write(Worker(pid=os.getpid(), host=host, versions=versions, reason=_ENDED, **facts), 0)
        yield run


class _Recorder:
    """The process's one window, and who it says that it is."""

    def __init__(self) -> None:
        from traceana_capture.agent.block import prepared

        self.roster = Roster()
        # The roster is another for each block.
        self.block = prepared(lambda message: self.roster.note(message))  # noqa: PLW0108

    def begin(self, run: _Run) -> None:
        """Record from here on."""
        self.roster = Roster()
        options = run.plan.options
        self.block.left = lambda: self.leave(run)
        names = ("shapes", "stacks", "memory", "max_collectives", "max_memory_mib")
        self.block.begin(run.claim.scratch, {name: getattr(options, name) for name in names})

    def leave(self, run: _Run) -> None:
        """The process ends in the block, whose own end does not come any more."""
        with _said(run.claim.folder):
            self.end(run, 1)
        shutil.rmtree(run.claim.scratch, ignore_errors=True)

    def end(self, run: _Run, code: int) -> None:
        """Publish what was recorded, and say what was not."""
        self.block.left = lambda: None
        self.block.close("the block ended" if code == 0 else "the block raised an exception")
        (worker,) = self.roster.workers.values()
        file = run.write(worker, code)
        run.claim.close_to_others()
        report(file)


def _prepared() -> _Recorder:
    global _recorder
    if _recorder is None:
        _recorder = _Recorder()
    return _recorder


def _job(rank: int) -> Job:
    """This rank as one of those that fill the folder together; how many of the ranks do, nobody knows."""
    return Job(launchers=None, launch=_program(), unique=True, seat=str(rank), node=f"rank{rank}")


def _program() -> str:
    """The same on all ranks of this program, and on nobody else's: the first one to ask chooses it for all."""
    from torch.distributed import distributed_c10d, is_available, is_initialized

    if is_available() and is_initialized():
        store: Any = distributed_c10d._get_default_store()
        if store.add("traceana program asked", 1) == 1:
            store.set("traceana program", uuid.uuid4().hex)
        return str(store.get("traceana program").decode())
    # Ranks that torchrun started, and that have no process group: they have one parent.
    parent = os.getppid()
    began = Path(f"/proc/{parent}/stat").read_text().rpartition(")")[2].split()[19]
    return f"{os.environ.get('MASTER_PORT', '')}-{parent}-{began}"
