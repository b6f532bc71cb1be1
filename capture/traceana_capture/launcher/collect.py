"""Publishes what the ranks left in the scratch folder, several at once, and says what became of each."""

import contextlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import msgspec

from traceana import units
from traceana_capture.launcher.publish import Published
from traceana_capture.launcher.run_folder import Claim
from traceana_capture.launcher.status import Status
from traceana_capture.launcher.workers import Worker
from traceana_capture.parts import NEVER_APPEARED
from traceana_capture.runfile import Rank

POLL_S = 0.1
INTERRUPTED = "interrupted while it was compressed"
# What publishing takes of memory, over the size of the trace: seen with 80 MB.
MEMORY_PER_BYTE = 8
# Made before threads come: the first two that decode a type at once crash msgspec 0.22.
_OUTCOME = msgspec.json.Decoder(Published | str)


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """Every rank of the run, and of the published ones what their traces show."""

    ranks: tuple[Rank, ...]
    traces: tuple[Published, ...]


def collect(workers: Sequence[Worker], claim: Claim, asked: Sequence[int], status: Status) -> Collected:
    """Publish the traces of `workers`, which come sorted by rank; a signal in `asked` gives up what is not done."""
    with ThreadPoolExecutor(_at_once(claim)) as pool:
        outcomes = list(pool.map(lambda worker: _outcome(worker, workers, claim, asked, status), workers))
    for worker in workers:
        if not (claim.keeps_failed and isinstance(worker.outcome, str)):
            _remove(worker, claim)
    return _collected(workers, outcomes, claim)


def so_far(workers: Sequence[Worker], claim: Claim) -> Collected:
    """What is published of a window, while the command goes on; the others are missing as yet."""
    outcomes = [worker.outcome or worker.reason or f"not there yet: {worker.state}" for worker in workers]
    return _collected(workers, outcomes, claim)


def _collected(workers: Sequence[Worker], outcomes: Sequence[Published | str], claim: Claim) -> Collected:
    ranks = [_entry(worker, outcome) for worker, outcome in zip(workers, outcomes, strict=True)]
    world_size = max((worker.world_size for worker in workers), default=0)
    # Ranks of other nodes are their launchers' to know.
    absent = set() if claim.job is not None else set(range(world_size)) - {rank.rank for rank in ranks}
    ranks += [_missing(rank, None, None, NEVER_APPEARED) for rank in absent]
    traces = tuple(outcome for outcome in outcomes if isinstance(outcome, Published))
    return Collected(ranks=tuple(sorted(ranks, key=lambda rank: rank.rank)), traces=traces)


def _at_once(claim: Claim) -> int:
    """How many fit the processors and the memory."""
    largest = max((file.stat().st_size for file in claim.scratch.glob("[0-9]*.json")), default=0)
    found = re.search(r"MemAvailable: +(\d+) kB", Path("/proc/meminfo").read_text())
    available = int(found[1]) << 10 if found else 0
    fitting = available // max(1, MEMORY_PER_BYTE * largest)
    return max(1, min(len(os.sched_getaffinity(0)), fitting))


def _outcome(
    worker: Worker, workers: Sequence[Worker], claim: Claim, asked: Sequence[int], status: Status
) -> Published | str:
    """The published trace, or why there is none."""
    if worker.trace is None:
        return worker.reason or f"the process ended while {worker.state}, before its export"
    if worker.outcome is not None:
        return _told(worker, worker.outcome, status)
    first = next(other for other in workers if other.rank == worker.rank and other.trace is not None)
    if first is not worker:
        return f"process {first.pid} was rank {worker.rank} too, and its trace is kept; capture one run at a time"
    status.say([worker.rank], "compressing")
    return _told(worker, publish(worker, claim, asked), status)


def _told(worker: Worker, outcome: Published | str, status: Status) -> Published | str:
    status.say([worker.rank], outcome if isinstance(outcome, str) else f"done, {units.size(outcome.size)}")
    return outcome


def remember(worker: Worker, scratch: Path) -> None:
    """Take in what came of publishing this trace, where a launcher that was killed had tried that."""
    with contextlib.suppress(OSError, msgspec.DecodeError):
        worker.outcome = _OUTCOME.decode(_outcome_file(worker, scratch).read_bytes())


def _outcome_file(worker: Worker, scratch: Path) -> Path:
    return scratch / f"outcome.{worker.pid}.{worker.window}.json"


class Publishers:
    """Processes that publish in this moment: ours, though they look as the run's do."""

    def __init__(self) -> None:
        self.starting = threading.Lock()
        self.pids: set[int] = set()

    def left_out_of(self, pids: set[int]) -> set[int]:
        """The others of these processes, which were seen before."""
        with self.starting:
            return pids - self.pids


PUBLISHERS = Publishers()


def publish(worker: Worker, claim: Claim, asked: Sequence[int], nice: int = 0) -> Published | str:
    """Publish a trace once and for all, with what came of it kept.

    One that was interrupted may be tried again, and one that failed where the claim keeps its export.
    """
    outcome = _publish(worker, claim, asked, nice)
    if claim.keeps_failed and isinstance(outcome, str):
        worker.outcome = outcome
    elif outcome != INTERRUPTED:
        # Kept first, so that a kill in between loses neither; a full disk has room for it afterwards.
        is_kept = _keep(worker, claim, outcome)
        _remove(worker, claim)
        if not is_kept:
            _keep(worker, claim, outcome)
    return outcome


def drop(worker: Worker, claim: Claim, reason: str) -> None:
    """Remove a trace that was published; raises OSError."""
    if isinstance(worker.outcome, Published):
        folder = claim.of_window(worker.window).folder
        for name in (_file(worker), f"paired.rank{worker.rank}.jsonl"):
            (folder / name).unlink(missing_ok=True)
        _keep(worker, claim, reason)


def _keep(worker: Worker, claim: Claim, outcome: Published | str) -> bool:
    """Here, and on the disk for a rescue, if that can be written."""
    worker.outcome = outcome
    try:
        _outcome_file(worker, claim.scratch).write_bytes(msgspec.json.encode(outcome))
    except OSError:
        return False
    return True


def _remove(worker: Worker, claim: Claim) -> None:
    """What could not be published may have filled the disk, and run.json still needs room."""
    for file in claim.scratch.glob(f"{worker.pid}.{worker.window}.*"):
        file.unlink()


def _publish(worker: Worker, claim: Claim, asked: Sequence[int], nice: int) -> Published | str:
    """In a process of its own: it takes several times the trace's size of memory, and may be killed for it."""
    source, target = claim.scratch / f"{worker.pid}.{worker.window}.json", claim.folder / _file(worker)
    argv = [sys.executable, "-m", "traceana_capture.launcher.publish", str(source), str(target)]
    # The run's variable lets the guard find it.
    environment = {**os.environ, "TRACEANA_CAPTURE": json.dumps({"workdir": str(claim.scratch)})}
    pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
    with PUBLISHERS.starting:
        # With the lock in its hands nobody else publishes the trace, where we are killed and it is not.
        lock = [claim.lock] if claim.lock >= 0 else []
        process = subprocess.Popen(
            argv, env=environment, stdin=nowhere, stdout=pipe, start_new_session=True, pass_fds=lock
        )
        PUBLISHERS.pids.add(process.pid)
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, process.pid, nice)
    output: bytes | None = None
    while output is None:
        try:
            output, _ = process.communicate(timeout=POLL_S)
        except subprocess.TimeoutExpired:
            if asked:
                process.kill()
    PUBLISHERS.pids.discard(process.pid)
    if asked and process.returncode:
        return INTERRUPTED
    if process.returncode:
        return f"the process that compressed it ended with {process.returncode}; is there enough memory?"
    outcome = _OUTCOME.decode(output)
    return f"the trace could not be published: {outcome}" if isinstance(outcome, str) else outcome


def _entry(worker: Worker, outcome: Published | str) -> Rank:
    if isinstance(outcome, str):
        return _missing(worker.rank, worker.pid, worker.host, outcome)
    return Rank(
        rank=worker.rank,
        pid=worker.pid,
        host=worker.host,
        outcome="complete",
        reason=worker.reason,
        file=_file(worker),
        bytes=outcome.size,
        lasted_s=None if worker.lasted_s is None else round(worker.lasted_s, 3),
        still_to_come=worker.still_to_come,
    )


def _missing(rank: int, pid: int | None, host: str | None, reason: str) -> Rank:
    return Rank(rank=rank, pid=pid, host=host, outcome="missing", reason=reason, file=None, bytes=0)


def _file(worker: Worker) -> str:
    return f"rank{worker.rank}.json.gz"
