"""NCCL's settings for a run: known variables and presets, checked before the run starts, and its log."""

import contextlib
import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path

from traceana.capture.control import Worker
from traceana.capture.folder import Claim
from traceana.capture.nccl_log import read_log
from traceana.capture.runfile import NcclLog
from traceana.errors import TraceanaError

# From NCCL's user guide, "Environment variables", as far as communication's speed and debugging go.
NAMES = """
    ALGO BUFFSIZE CTA_POLICY CUMEM_ENABLE DEBUG DEBUG_FILE DEBUG_SUBSYS HOSTID IB_DISABLE IB_HCA LAUNCH_MODE
    MAX_CTAS MAX_NCHANNELS MIN_CTAS MIN_NCHANNELS NET NTHREADS NVLS_ENABLE P2P_DISABLE P2P_LEVEL
    P2P_NET_CHUNKSIZE PROTO SHM_DISABLE SOCKET_IFNAME SOCKET_NTHREADS TOPO_DUMP_FILE TOPO_FILE
"""
VARIABLES = frozenset(f"NCCL_{name}" for name in NAMES.split())


def parse(settings: tuple[str, ...]) -> dict[str, str]:
    """KEY=VALUE settings as variables; raises TraceanaError for a name that NCCL does not know."""
    variables = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise TraceanaError(f"--nccl {setting!r} must be KEY=VALUE, such as NCCL_PROTO=Simple")
        if key not in VARIABLES:
            close = difflib.get_close_matches(key, VARIABLES, n=1)
            hint = f"did you mean {close[0]}?" if close else "see NCCL's list of environment variables"
            raise TraceanaError(f"--nccl {key} is not a variable of NCCL that we know; {hint}")
        variables[key] = value
    return variables


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """Variables under a name, and what they do."""

    variables: dict[str, str]
    does: str


PRESETS = {
    "debug": Preset(
        variables={"NCCL_DEBUG": "INFO", "NCCL_DEBUG_SUBSYS": "INIT,ENV,GRAPH,TUNING,COLL"},
        does="logs every call with its algorithm and protocol: slower, so not for timings",
    ),
    "no-p2p": Preset(variables={"NCCL_P2P_DISABLE": "1"}, does="no direct GPU to GPU transport (NVLink, PCIe)"),
    "no-shm": Preset(variables={"NCCL_SHM_DISABLE": "1"}, does="no shared memory between the processes of a host"),
    "no-ib": Preset(variables={"NCCL_IB_DISABLE": "1"}, does="no InfiniBand or RoCE: IP sockets between hosts"),
    "ring": Preset(variables={"NCCL_ALGO": "Ring"}, does="the ring algorithm only; does not govern send and recv"),
    "tree": Preset(
        variables={"NCCL_ALGO": "allreduce:tree"}, does="the tree algorithm for all-reduce, the only one that has it"
    ),
    "simple": Preset(variables={"NCCL_PROTO": "Simple"}, does="the protocol for large messages only"),
    "ll": Preset(variables={"NCCL_PROTO": "LL"}, does="the low-latency protocol only: half the bandwidth or less"),
    "ll128": Preset(
        variables={"NCCL_PROTO": "LL128"},
        does="the LL128 protocol only. WARNING: can corrupt data where NCCL would not choose it itself",
    ),
    "max-ctas": Preset(
        variables={"NCCL_MIN_CTAS": "32", "NCCL_MAX_CTAS": "32"},
        does="32 thread blocks for every collective: more bandwidth, fewer SMs for computing",
    ),
    "nvls-off": Preset(variables={"NCCL_NVLS_ENABLE": "0"}, does="no reductions inside the NVLink switch"),
}


def settings_of(presets: tuple[str, ...], settings: tuple[str, ...]) -> dict[str, str]:
    """The presets' variables, and over them the single settings."""
    together: dict[str, str] = {}
    for name in presets:
        together |= PRESETS[name].variables
    return together | parse(settings)


def preset_lines() -> list[str]:
    """One line a preset, for the terminal."""
    return [
        f"{name:9} {' '.join(f'{key}={value}' for key, value in preset.variables.items())}: {preset.does}"
        for name, preset in PRESETS.items()
    ]


def logging(inherited: Mapping[str, str], chosen: Mapping[str, str], scratch: Path) -> dict[str, str]:
    """NCCL's log into one file a process, if a setting of ours asks for a log and the user has no file for it."""
    if "NCCL_DEBUG" not in chosen or "NCCL_DEBUG_FILE" in {*inherited, *chosen}:
        return {}
    return {"NCCL_DEBUG_FILE": str(scratch / "nccl.%h.%p.log")}


def keep_logs(workers: Sequence[Worker], claim: Claim) -> tuple[NcclLog, ...]:
    """Move each rank's log, where there is one, into the run, and return what it says."""
    kept = []
    for worker in workers:
        for source in claim.scratch.glob(f"nccl.*.{worker.pid}.log"):
            with contextlib.suppress(OSError):
                kept.append(_keep_log(source, claim.folder, worker.rank))
    return tuple(kept)


def _keep_log(source: Path, folder: Path, rank: int) -> NcclLog:
    target = folder / f"nccl.rank{rank}.log"
    with source.open(errors="replace") as lines:
        log = read_log(lines, rank=rank, file=target.name)
    source.replace(target)
    return log
