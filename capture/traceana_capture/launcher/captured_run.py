"""One captured run, from its options to run.json; may be called several times in a process."""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from traceana import units
from traceana.errors import TraceanaError
from traceana.plain import say
from traceana_capture.launcher import backends
from traceana_capture.launcher.clock import now
from traceana_capture.launcher.inject import inject
from traceana_capture.launcher.job import Job
from traceana_capture.launcher.launch import TIMED_OUT, Launch, guarded, signals
from traceana_capture.launcher.live import Live
from traceana_capture.launcher.options import Options
from traceana_capture.launcher.others import Turn, of_job, wait_for_all
from traceana_capture.launcher.record import Plan, Record, report
from traceana_capture.launcher.rotation import Rotation
from traceana_capture.launcher.run_folder import claimed, end_orders, run_name
from traceana_capture.launcher.status import Status
from traceana_capture.launcher.windows import Windows
from traceana_capture.launcher.workers import Ranks, Worker

# What changes how a run communicates. Anything else stays out of run.json, because environments hold secrets.
RECORDED = ("NCCL_", "TORCH_NCCL_", "SGLANG_DIFFUSION_", "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_MAX_CONNECTIONS")
OTHER_PROFILERS = ("nsys", "ncu", "nvprof")
# Set in the processes that Nsight Systems profiles; the second by any tool that CUDA loads.
UNDER_A_PROFILER = ("NSYS_PROFILING_SESSION_ID", "CUDA_INJECTION64_PATH")


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
                started=now(),
                environment=recorded(environment, claim.scratch),
                job=job,
            )
            record = Record(plan, claim)
            record.keep()
            ranks = Ranks(claim.scratch)
        except OSError as error:
            raise TraceanaError(f"cannot write {claim.scratch}: {error.strerror}; choose another folder") from error
        with guarded(claim) as guard:
            live = Live(record, ranks)
            windows = Windows(record, ranks, live, lambda: of_job(claim.folder, claim.scratch, job))
            windows.begin()
            launch = Launch(
                options, claim, ranks, asked, Status(), (live.look, windows.look, Rotation(record, ranks, windows).look)
            )
            code = _launch(launch, environment, guard)
            asked.clear()
            live.end(asked)
            settle(record, ranks.windows, code, asked, _why(code, options, launch.sent), launch.nobody(environment))
    return code


def _why(code: int, options: Options, sent: int | None) -> str:
    """What became of the command, where its code is not 0."""
    if sent is not None:
        return f"was ended by {'Ctrl-C' if sent == signal.SIGINT else signal.Signals(sent).name}"
    over = code == TIMED_OUT and options.timeout_s is not None
    return f"was ended, because --timeout {options.timeout_s:g} s was over" if over else "failed"


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
    record: Record,
    windows: Mapping[int, Mapping[int, Worker]],
    code: int,
    asked: Sequence[int],
    why: str = "failed",
    nobody: str = "the command set up no torch.distributed before it was ended",
) -> None:
    """Publish what the ranks left in each window and write its run.json.

    Says on stderr what is missing, `why` the code is not 0, and why `nobody` came where no rank did.
    """
    status = Status()
    there = [(number, workers) for number, workers in sorted(windows.items()) if number not in record.removed - {1}]
    runs = [record.settle(number, workers.values(), code, asked, status) for number, workers in there]
    if not runs[0].ranks:
        say(f"traceana: no rank appeared: {nobody}", err=True)
    if not of_job(record.claim.folder, record.claim.scratch, record.plan.job):
        with contextlib.suppress(OSError):
            end_orders(record.claim.folder)
    for run in runs:
        if run.window.number not in record.removed:
            report(run)
    if code:
        # Ours are the last lines, and must not hide that the command's own error stands above them.
        above = "; its own words are above" if why == "failed" else ""
        where = f" on {record.plan.job.node}" if record.plan.job else ""
        say(f"traceana: the command {why}{where} (exit code {code}){above}", err=True)
    unknown = [rank for rank in record.plan.options.ranks if rank >= runs[0].world_size > 0]
    if unknown:
        known = units.number_ranges(range(runs[0].world_size))
        say(f"traceana: --ranks: no rank {units.number_ranges(unknown)}; the ranks are {known}", err=True)
    if published := {rank.rank for run in runs for rank in run.ranks if rank.file}:
        # Launchers of several nodes may write to one terminal.
        whose = f": {_numbered(published)} of {runs[0].world_size}" if record.plan.job else ""
        say(f"traceana: the traces are in {record.claim.folder}{whose}", err=True)


def _numbered(ranks: Collection[int]) -> str:
    return f"rank{'' if len(ranks) == 1 else 's'} {units.number_ranges(ranks)}"


def recorded(environment: Mapping[str, str], scratch: Path) -> dict[str, str]:
    """What of the environment changes how a run communicates.

    Without what points into our scratch folder, which is gone when somebody reads this.
    """
    chosen = (name for name in sorted(environment) if name.startswith(RECORDED))
    return {name: environment[name] for name in chosen if not environment[name].startswith(str(scratch))}
