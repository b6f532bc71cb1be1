"""NCCL's settings for a run: known variables and presets, checked before the run starts, and its log."""

import contextlib
import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path

from traceana.errors import TraceanaError
from traceana_capture.launcher.nccl_log import read_log
from traceana_capture.launcher.run_folder import Claim
from traceana_capture.launcher.workers import Worker
from traceana_capture.runfile import NcclLog

# From NCCL's user guide, "Environment Variables", of NCCL 2.28.
NAMES = """
    ALGO ALLOC_P2P_NET_LL_BUFFERS BUFFSIZE CGA_CLUSTER_SIZE CHECKS_DISABLE CHECK_POINTERS COLLNET_ENABLE
    COLLNET_NODE_THRESHOLD COMM_BLOCKING CONF_FILE CROSS_NIC CTA_POLICY CUMEM_ENABLE CUMEM_HOST_ENABLE DEBUG DEBUG_FILE
    DEBUG_SUBSYS DEBUG_TIMESTAMP_FORMAT DEBUG_TIMESTAMP_LEVELS DMABUF_ENABLE ENV_PLUGIN GRAPH_REGISTER HOSTID
    IB_ADAPTIVE_ROUTING IB_ADDR_FAMILY IB_ADDR_RANGE IB_AR_THRESHOLD IB_CUDA_SUPPORT IB_DISABLE IB_ECE_ENABLE IB_FIFO_TC
    IB_GID_INDEX IB_HCA IB_MERGE_NICS IB_PCI_RELAXED_ORDERING IB_QPS_PER_CONNECTION IB_RETRY_CNT
    IB_RETURN_ASYNC_EVENTS IB_ROCE_VERSION_NUM IB_SL IB_SPLIT_DATA_ON_QPS IB_TC IB_TIMEOUT IGNORE_CPU_AFFINITY
    LAUNCH_MODE LAUNCH_ORDER_IMPLICIT LAUNCH_RACE_FATAL LEGACY_CUDA_REGISTER LL_THRESHOLD LOCAL_REGISTER MAX_CTAS
    MAX_NCHANNELS MAX_P2P_NCHANNELS MEM_SYNC_DOMAIN MIN_CTAS MIN_NCHANNELS MIN_P2P_NCHANNELS MNNVL_CLIQUE_ID
    MNNVL_ENABLE MNNVL_UUID NCHANNELS_PER_NET_PEER NET NETDEVS_POLICY NET_GDR_C2C NET_GDR_LEVEL NET_GDR_READ NET_PLUGIN
    NET_SHARED_BUFFERS NET_SHARED_COMMS NSOCKS_PERTHREAD NTHREADS NVLS_CHUNKSIZE NVLS_ENABLE OOB_NET_ENABLE
    OOB_NET_IFNAME P2P_DIRECT_DISABLE P2P_DISABLE P2P_LEVEL P2P_LL_THRESHOLD P2P_NET_CHUNKSIZE P2P_PXN_LEVEL
    PROFILER_PLUGIN PROTO PXN_C2C PXN_DISABLE RAS_ADDR RAS_ENABLE RAS_TIMEOUT_FACTOR RUNTIME_CONNECT SET_THREAD_NAME
    SHM_DISABLE SINGLE_PROC_MEM_REG_ENABLE SOCKET_FAMILY SOCKET_IFNAME SOCKET_NTHREADS SOCKET_POLL_TIMEOUT_MSEC
    SOCKET_RETRY_CNT SOCKET_RETRY_SLEEP_MSEC TOPO_DUMP_FILE TOPO_FILE TREE_THRESHOLD TUNER_PLUGIN
    UID_STAGGER_RATE UID_STAGGER_THRESHOLD WIN_ENABLE
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
    "few-ctas": Preset(
        variables={"NCCL_MIN_CTAS": "1", "NCCL_MAX_CTAS": "4"},
        does="4 thread blocks at most: more SMs for computing, less bandwidth",
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
    """Move each rank's log, where there is one, into the run, and return what it says.

    One that a rescue moved, before it was ended itself, is there already.
    """
    kept = []
    first = {worker.rank: worker for worker in reversed(workers)}
    for rank, worker in sorted(first.items()):
        target = claim.folder / f"nccl.rank{rank}.log"
        with contextlib.suppress(OSError):
            for source in claim.scratch.glob(f"nccl.*.{worker.pid}.log"):
                source.replace(target)
            with target.open(errors="replace") as lines:
                kept.append(read_log(lines, rank=rank, file=target.name))
    return tuple(kept)
