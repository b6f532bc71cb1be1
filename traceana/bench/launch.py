"""Starts a bench's ranks on this machine, or joins those that torchrun or srun started."""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from traceana.bench.plan import Plan
from traceana.errors import TraceanaError
from traceana.report.bench import BenchReport

_SLURM = {"RANK": "SLURM_PROCID", "WORLD_SIZE": "SLURM_NTASKS", "LOCAL_RANK": "SLURM_LOCALID"}
_TICK_S = 0.05
_GRACE_S = 5.0


def started_as_rank() -> bool:
    """Whether torchrun or srun started this process as one of several ranks."""
    return "RANK" in os.environ or int(os.environ.get("SLURM_NTASKS", "1")) > 1


def world_size(ranks: int) -> int:
    """Of torchrun or srun where one of them started this process, else `ranks`."""
    for name in ("WORLD_SIZE", "SLURM_NTASKS") if started_as_rank() else ():
        if name in os.environ:
            return int(os.environ[name])
    return ranks


def run(plan: Plan, ranks: int) -> BenchReport:
    """Run `ranks` processes here and return rank 0's report. Raises TraceanaError where a rank fails."""
    with tempfile.TemporaryDirectory(prefix="traceana-bench-") as folder:
        asked, result = Path(folder) / "plan.json", Path(folder) / "result.json"
        asked.write_bytes(msgspec.json.encode(plan))
        port = _free_port()
        processes = [_start(rank, ranks, port, (str(asked), str(result))) for rank in range(ranks)]
        try:
            _wait(processes)
        finally:
            _end(processes)
        reason = result.with_suffix(".error")
        if reason.exists():
            raise TraceanaError(reason.read_text(encoding="utf-8"))
        if not result.exists():
            raise TraceanaError("the bench has no result: one of its ranks failed; its own words are above")
        return msgspec.json.decode(result.read_bytes(), type=BenchReport)


def join(plan: Plan) -> BenchReport | None:
    """Be the rank that the environment names; the report on rank 0, None on the others. Raises TraceanaError."""
    for name, of_slurm in _SLURM.items():
        if name not in os.environ and of_slurm in os.environ:
            os.environ[name] = os.environ[of_slurm]
    missing = [name for name in ("MASTER_ADDR", "MASTER_PORT") if name not in os.environ]
    if missing:
        raise TraceanaError(f"the ranks cannot find each other: set {' and '.join(missing)}, as torchrun does")
    from traceana.bench.rank import measured

    try:
        return measured(plan)
    except TraceanaError as error:
        # All ranks fail alike, and one of them says it.
        if os.environ["RANK"] != "0":
            raise SystemExit(error.exit_code) from None
        raise


def _start(rank: int, ranks: int, port: int, files: Sequence[str]) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(ranks),
        "LOCAL_WORLD_SIZE": str(ranks),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
    }
    return subprocess.Popen([sys.executable, "-m", "traceana.bench.rank", *files], env=environment)


def _wait(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Until all have ended, or one has failed and the others had a moment to say why."""
    while any(process.poll() is None for process in processes):
        if any(process.poll() for process in processes):
            limit = time.monotonic() + _GRACE_S
            while time.monotonic() < limit and any(process.poll() is None for process in processes):
                time.sleep(_TICK_S)
            return
        time.sleep(_TICK_S)


def _end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
