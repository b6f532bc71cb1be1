"""A run on the disk: what was known before it began, and for each of its windows a folder with traces and run.json."""

import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from traceana import __version__, units
from traceana.plain import say
from traceana_capture import runfile
from traceana_capture.early import early
from traceana_capture.launcher import backends
from traceana_capture.launcher.clock import iso, now
from traceana_capture.launcher.collect import Collected, collect, drop, so_far
from traceana_capture.launcher.job import Job
from traceana_capture.launcher.nccl_settings import keep_logs
from traceana_capture.launcher.options import Options, pairings
from traceana_capture.launcher.run_folder import Claim, remove_window
from traceana_capture.launcher.status import Status
from traceana_capture.launcher.workers import Worker
from traceana_capture.leftover import PLAN


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is known before the command starts, kept in the scratch folder for a rescue."""

    options: Options
    label: str
    repeat: int | None
    started: str
    environment: dict[str, str]
    job: Job | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What ends a window that was ordered."""

    steps: int
    duration_s: float
    max_collectives: int


def kept_plan(scratch: Path) -> Plan:
    """The plan that this version kept there, or an older one.

    Raises OSError, and TraceanaError or msgspec.MsgspecError where it is none.
    """
    plan = msgspec.json.decode((scratch / PLAN).read_bytes(), type=dict[str, Any])
    options = msgspec.convert(plan.get("options"), type=dict[str, Any])
    paired = msgspec.convert(options.get("paired", []), type=list[Any])
    # Operations alone, before any two backends could be named.
    options["paired"] = [*pairings([one for one in paired if isinstance(one, str)])] + [
        one for one in paired if not isinstance(one, str)
    ]
    return msgspec.convert(plan | {"options": msgspec.to_builtins(options)}, type=Plan)


class Record:
    """Writes the windows of a run; `plan` and `claim` are of the run."""

    def __init__(self, plan: Plan, claim: Claim) -> None:
        self.plan = plan
        self.claim = claim
        # Windows whose traces are removed, because newer ones are kept.
        self.removed: set[int] = set()

    def keep(self) -> None:
        """Keep the plan for a rescue; raises OSError."""
        (self.claim.scratch / PLAN).write_bytes(msgspec.json.encode(self.plan))

    def begin(self, number: int, bounds: Bounds) -> None:
        """Make the folder of a window that was ordered, and keep its bounds; raises OSError."""
        self.claim.of_window(number)
        self._bounds_file(number).write_bytes(msgspec.json.encode(bounds))

    def _bounds_file(self, number: int) -> Path:
        return self.claim.scratch / f"bounds.{number}.json"

    def options(self, number: int) -> Options:
        """How this window was to be."""
        try:
            bounds = msgspec.json.decode(self._bounds_file(number).read_bytes(), type=Bounds)
        except OSError:
            return self.plan.options
        return replace(
            self.plan.options,
            delay_s=0.0,
            steps=bounds.steps,
            duration_s=bounds.duration_s,
            max_collectives=bounds.max_collectives,
        )

    def write_so_far(self, number: int, workers: Iterable[Worker]) -> None:
        """Write the window's run.json while the command goes on; raises OSError."""
        ordered, claim = _ordered(workers), self.claim.of_window(number)
        claim.end_order()
        runfile.write(self.run_file(number, ordered, so_far(ordered, claim), None, claim), claim.folder, claim.scratch)
        claim.close_to_others()

    def remove(self, number: int, workers: Iterable[Worker]) -> None:
        """Remove this launcher's files of a window; run.json of the first, which is the run's own, says so."""
        self.removed.add(number)
        ordered = _ordered(workers)
        for worker in ordered:
            drop(worker, self.claim, f"removed, because --keep {self.plan.options.keep} keeps newer windows")
        if number == 1:
            self.write_so_far(number, ordered)
        else:
            node = self.plan.job.node if self.plan.job else None
            claim = self.claim.of_window(number)
            # No trace has ended it where all exports failed.
            claim.end_order()
            (claim.folder / runfile.name_of(node)).unlink(missing_ok=True)
            remove_window(self.claim.folder, number)

    def settle(
        self, number: int, workers: Iterable[Worker], code: int, asked: Sequence[int], status: Status
    ) -> runfile.RunFile:
        """Publish what the ranks left of this window, and write its run.json.

        Raises OSError where that cannot be written and the claim keeps what failed.
        """
        ordered, claim = _ordered(workers), self.claim.of_window(number)
        claim.end_order()
        collected = collect(ordered, claim, asked, status)
        run = runfile.masked(self.run_file(number, ordered, collected, code, claim))
        try:
            runfile.write(run, claim.folder, claim.scratch)
        except OSError as error:
            if claim.keeps_failed:
                raise
            say(f"traceana: cannot write {claim.folder / runfile.NAME}: {error.strerror}", err=True)
        claim.close_to_others()
        return run

    def run_file(
        self, number: int, workers: Sequence[Worker], collected: Collected, code: int | None, claim: Claim
    ) -> runfile.RunFile:
        """What run.json says of these workers; moves NCCL's logs into the run."""
        options, plan = self.options(number), self.plan
        # NCCL's logs are of the whole command.
        logs = keep_logs(workers, claim) if number == 1 and code is not None else ()
        began = [worker.began for worker in workers if worker.began is not None]
        return runfile.RunFile(
            label=plan.label,
            repeat=plan.repeat,
            argv=options.argv,
            host=socket.gethostname(),
            started=plan.started,
            ended=now(),
            exit_code=code,
            world_size=max((worker.world_size for worker in workers), default=0),
            backend=_backend(options, collected),
            versions={"traceana": __version__, **(workers[0].versions if workers else {})},
            gpus={str(worker.rank): worker.gpu for worker in workers},
            environment=plan.environment,
            nccl=runfile.Nccl(set=options.nccl, preset=options.presets, ranks=logs),
            window=runfile.Window(
                delay_s=options.delay_s,
                duration_s=options.duration_s,
                warmup=options.warmup,
                steps=options.steps,
                start_on=options.start_on or None,
                step_on=options.step_on or None,
                number=number,
                opened=iso(min(began)) if began else None,
            ),
            ranks=collected.ranks,
            faults=tuple(sorted({fault for trace in collected.traces for fault in trace.faults})),
            node=plan.job.node if plan.job else None,
            launch=plan.job.launch if plan.job else None,
            launchers=plan.job.launchers if plan.job else None,
        )


def _ordered(workers: Iterable[Worker]) -> list[Worker]:
    return sorted(workers, key=lambda worker: (worker.rank, worker.pid))


def _backend(options: Options, collected: Collected) -> runfile.Backend:
    adapters = sorted({adapter for trace in collected.traces for adapter in trace.adapters})
    seen = {backend for trace in collected.traces for backend in trace.backends}
    pairs = sum(trace.pairs for trace in collected.traces)
    error = backends.mismatch(options.backend, adapters, seen) if collected.traces else None
    paired = tuple(pairing.operation for pairing in options.paired)
    if error is None and paired and not pairs:
        ended = next((trace.ended for trace in collected.traces if trace.ended), "")
        reason = f"ended with {ended}" if ended else "the window saw no two such calls that both backends can carry"
        error = f"--paired {', '.join(paired)}: {reason}"
    return runfile.Backend(
        asked=options.backend,
        adapter=", ".join(adapters) or None,
        seen=tuple(sorted(seen)),
        mismatch=error,
        paired=paired,
        pairs=pairs,
    )


def report(run: runfile.RunFile) -> None:
    """Say on stderr what is missing of a window."""
    window = f"window {run.window.number}: " if run.window.number > 1 else ""
    if run.backend.mismatch is not None:
        say(f"traceana: error: {window}{run.backend.mismatch}", err=True)
    for fault in run.faults:
        say(f"traceana: {window}{fault}; its calls have no size", err=True)
    _report_ranks(run.ranks, window)


def _report_ranks(ranks: Sequence[runfile.Rank], window: str) -> None:
    """Say which of them have no trace, or less of one than was asked for."""
    for rank in ranks:
        if rank.outcome != "complete":
            say(f"traceana: {window}no trace of rank {rank.rank}: {rank.reason}", err=True)
    for said, numbers in early(ranks).items():
        name = "rank" if len(numbers) == 1 else "ranks"
        say(f"traceana: {window}{name} {units.number_ranges(numbers)}: {said}", err=True)
