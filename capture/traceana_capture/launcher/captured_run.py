"""One captured run, from its options to run.json; may be called several times in a process."""

import datetime
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from traceana import __version__, units
from traceana.errors import TraceanaError
from traceana.plain import say
from traceana_capture import runfile
from traceana_capture.early import early
from traceana_capture.launcher import backends
from traceana_capture.launcher.collect import Collected, collect
from traceana_capture.launcher.inject import inject
from traceana_capture.launcher.job import Job
from traceana_capture.launcher.launch import TIMED_OUT, Launch, guarded, signals
from traceana_capture.launcher.nccl_settings import keep_logs
from traceana_capture.launcher.options import Options
from traceana_capture.launcher.others import Turn, wait_for_all
from traceana_capture.launcher.run_folder import Claim, claimed, run_name
from traceana_capture.launcher.status import Status
from traceana_capture.launcher.workers import Ranks, Worker

# What changes how a run communicates. Anything else stays out of run.json, because environments hold secrets.
RECORDED = ("NCCL_", "TORCH_NCCL_", "SGLANG_DIFFUSION_", "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_MAX_CONNECTIONS")
PLAN = "plan.json"
OTHER_PROFILERS = ("nsys", "ncu", "nvprof")
# Set in the processes that Nsight Systems profiles; the second by any tool that CUDA loads.
UNDER_A_PROFILER = ("NSYS_PROFILING_SESSION_ID", "CUDA_INJECTION64_PATH")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is known before the command starts, kept in the scratch folder for a rescue."""

    options: Options
    label: str
    repeat: int | None
    folder: str
    started: str
    environment: dict[str, str]
    job: Job | None = None


def capture(
    options: Options,
    output: Path,
    label: str,
    *,
    repeat: int | None = None,
    force: bool = False,
    job: Job | None = None,
    turn: Turn | None = None,
) -> int:
    """Run the command and leave its traces and run.json in `output/label`, or `output/label.repeat`.

    Where other launchers of a `job` run it too, this one leaves its part, and in a series it waits for its `turn`.

    Returns the exit code: the command's own, 128+n for a signal, 124 for a timeout.

    Raises TraceanaError where the run cannot start.
    """
    backends.check_machine(options.backend, options.paired, options.ranks)
    _check_command(options.argv[0])
    name = run_name(label, repeat)
    with claimed(output, name, force, options.shared, job) as claim, signals() as asked:
        if job is not None and turn is not None:
            wait_for_all(claim.folder, claim.scratch, job, turn, asked)
        if asked:
            return 128 + asked[0]
        try:
            environment = inject(claim.scratch, options)
            plan = Plan(
                options=options,
                label=label,
                repeat=repeat,
                folder=str(claim.folder),
                started=now(),
                environment=recorded(environment, claim.scratch),
                job=job,
            )
            (claim.scratch / PLAN).write_bytes(msgspec.json.encode(plan))
            ranks = Ranks(claim.scratch)
        except OSError as error:
            raise TraceanaError(f"cannot write {claim.scratch}: {error.strerror}; choose another folder") from error
        with guarded(claim) as guard:
            launch = Launch(options, claim, ranks, asked, Status())
            code = _launch(launch, environment, guard)
            asked.clear()
            over = code == TIMED_OUT and options.timeout_s is not None
            why = f"was ended, because --timeout {options.timeout_s:g} was over" if over else "failed"
            settle(plan, claim, ranks.workers.values(), code, asked, why, launch.nobody(environment))
    return code


def _check_command(name: str) -> None:
    """Raise TraceanaError for what cannot be captured, before anything of an earlier run is touched."""
    if Path(name).name in OTHER_PROFILERS or any(variable in os.environ for variable in UNDER_A_PROFILER):
        raise TraceanaError(
            "CUDA (CUPTI) serves one profiler at a time, and this would run together with Nsight; leave one of them out"
        )
    if shutil.which(name) is None:
        raise TraceanaError(f"cannot run {name}: there is no such command; check the name and PATH")


def _launch(launch: Launch, environment: dict[str, str], guard: subprocess.Popen[bytes]) -> int:
    try:
        return launch.run(environment, guard)
    finally:
        launch.ranks.close()


def settle(
    plan: Plan,
    claim: Claim,
    workers: Iterable[Worker],
    code: int,
    asked: Sequence[int],
    why: str = "failed",
    nobody: str = "the command set up no torch.distributed before it was ended",
) -> None:
    """Publish what the ranks left and write run.json.

    Says on stderr what is missing, `why` the code is not 0, and why `nobody` came where no rank did.
    """
    ordered = sorted(workers, key=lambda worker: (worker.rank, worker.pid))
    collected = collect(ordered, claim, asked, Status())
    run = runfile.masked(run_file(plan, ordered, collected, code, claim))
    try:
        runfile.write(run, claim.folder, claim.scratch)
    except OSError as error:
        say(f"traceana: cannot write {claim.folder / runfile.NAME}: {error.strerror}", err=True)
    claim.close_to_others()
    _report(run, why, nobody)
    unknown = [rank for rank in plan.options.ranks if rank >= run.world_size > 0]
    if unknown:
        known = units.number_ranges(range(run.world_size))
        say(f"traceana: --ranks: no rank {units.number_ranges(unknown)}; the ranks are {known}", err=True)
    if any(rank.file for rank in run.ranks) and sys.stderr.isatty():
        say(f"traceana: the traces are in {claim.folder}", err=True)


def run_file(plan: Plan, workers: Sequence[Worker], collected: Collected, code: int, claim: Claim) -> runfile.RunFile:
    """What run.json says of these workers; moves NCCL's logs into the run."""
    options = plan.options
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
        nccl=runfile.Nccl(set=options.nccl, preset=options.presets, ranks=keep_logs(workers, claim)),
        window=runfile.Window(
            delay_s=options.delay_s,
            duration_s=options.duration_s,
            warmup=options.warmup,
            steps=options.steps,
            start_on=options.start_on or None,
            step_on=options.step_on or None,
        ),
        ranks=collected.ranks,
        node=plan.job.node if plan.job else None,
        launch=plan.job.launch if plan.job else None,
        launchers=plan.job.launchers if plan.job else None,
    )


def _backend(options: Options, collected: Collected) -> runfile.Backend:
    adapters = sorted({adapter for trace in collected.traces for adapter in trace.adapters})
    seen = {backend for trace in collected.traces for backend in trace.backends}
    pairs = sum(trace.pairs for trace in collected.traces)
    error = backends.mismatch(options.backend, adapters, seen) if collected.traces else None
    if error is None and options.paired and not pairs:
        error = f"--paired {', '.join(options.paired)}: the window saw no such call that both backends can carry"
    return runfile.Backend(
        asked=options.backend,
        adapter=", ".join(adapters) or None,
        seen=tuple(sorted(seen)),
        mismatch=error,
        paired=options.paired,
        pairs=pairs,
    )


def _report(run: runfile.RunFile, why: str, nobody: str) -> None:
    if run.backend.mismatch is not None:
        say(f"traceana: error: {run.backend.mismatch}", err=True)
    if not run.ranks:
        say(f"traceana: no rank appeared: {nobody}", err=True)
    report_ranks(run.ranks)
    if run.exit_code:
        # Ours are the last lines, and must not hide that the command's own error stands above them.
        say(f"traceana: the command {why} (exit code {run.exit_code}); its own words are above", err=True)


def report_ranks(ranks: Sequence[runfile.Rank]) -> None:
    """Say on stderr which of them have no trace, or less of one than was asked for."""
    for rank in ranks:
        if rank.outcome != "complete":
            say(f"traceana: no trace of rank {rank.rank}: {rank.reason}", err=True)
    for said, numbers in early(ranks).items():
        name = "rank" if len(numbers) == 1 else "ranks"
        say(f"traceana: {name} {units.number_ranges(numbers)}: {said}", err=True)


def recorded(environment: Mapping[str, str], scratch: Path) -> dict[str, str]:
    """What of the environment changes how a run communicates.

    Without what points into our scratch folder, which is gone when somebody reads this.
    """
    chosen = (name for name in sorted(environment) if name.startswith(RECORDED))
    return {name: environment[name] for name in chosen if not environment[name].startswith(str(scratch))}


def now() -> str:
    """The time, as run.json writes it."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat()
