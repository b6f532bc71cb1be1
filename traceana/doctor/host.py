"""The host around the GPUs: shared memory, files, disk, network, and what the environment says."""

import os
import resource
from collections.abc import Mapping
from pathlib import Path

from traceana.doctor.findings import Finding, failure, ok, warning

_SHM = Path("/dev/shm")
# What docker gives a container unless told otherwise; NCCL and data loaders need more.
_TINY_SHM = 64 << 20
_SMALL_SHM = 1 << 30
_FEW_FILES = 4096
_LITTLE_DISK = 1 << 30
_SMALL_DISK = 10 << 30
_INFINIBAND = Path("/sys/class/infiniband")

# Variables that change what is measured, wherever they were set; sources: NCCL's and PyTorch's documentation of them.
_CHANGES = {
    "NCCL_P2P_DISABLE": "no direct transport between GPUs: everything goes through the host's memory",
    "NCCL_SHM_DISABLE": "no shared memory between processes: what is not direct goes over the network",
    "NCCL_IB_DISABLE": "no InfiniBand or RoCE between hosts",
    "NCCL_NVLS_ENABLE": "NVLink's multicast is forced on or off",
    "NCCL_ALGO": "NCCL may not choose its algorithm",
    "NCCL_PROTO": "NCCL may not choose its protocol",
    "NCCL_MAX_CTAS": "fewer thread blocks than NCCL would take",
    "NCCL_MAX_NCHANNELS": "fewer channels than NCCL would take",
    "NCCL_DEBUG": "NCCL writes a log, at INFO and TRACE for each call",
    "TORCH_DISTRIBUTED_DEBUG": "torch checks each collective on all ranks first (DETAIL)",
    "TORCH_NCCL_BLOCKING_WAIT": "each call waits on the host for its end",
    "NCCL_LAUNCH_MODE": "another way of launching than NCCL's own",
}
_NO_TIMES = {
    "CUDA_LAUNCH_BLOCKING": "every kernel is waited for: no figure of this run means anything",
    "NCCL_CHECK_POINTERS": "NCCL checks each pointer: calls cost more",
}
_HARMLESS = {"", "0", "OFF", "WARN", "VERSION"}


def shared_memory(available: int | None = None) -> list[Finding]:
    """Room in /dev/shm, bytes. Raises OSError where there is none."""
    check = "shared memory"
    if available is None:
        state = os.statvfs(_SHM)
        available = state.f_bavail * state.f_frsize
    seen = f"{available / 2**20:,.0f} MiB free in {_SHM}"
    advice = "start the container with --shm-size=16g, or --ipc=host"
    if available <= _TINY_SHM:
        return [failure(check, f"{seen}: NCCL's transports between processes need more", advice)]
    return [warning(check, seen, advice) if available < _SMALL_SHM else ok(check, seen)]


def open_files(limit: int | None = None) -> list[Finding]:
    """How many files a process may have open."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0] if limit is None else limit
    if limit == resource.RLIM_INFINITY:
        return [ok("open files", "no limit")]
    if limit < _FEW_FILES:
        advice = "`ulimit -n 65536` before the command: each rank opens sockets and files for every peer"
        return [warning("open files", f"at most {limit} a process", advice)]
    return [ok("open files", f"at most {limit} a process")]


def disk(folder: Path, available: int | None = None) -> list[Finding]:
    """Room for traces where `folder` is or will be, bytes. Raises OSError."""
    if available is None:
        state = os.statvfs(next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists()))
        available = state.f_bavail * state.f_frsize
    seen = f"{available / 2**30:,.1f} GiB free for {folder}"
    advice = "traces of a rank take some 100 MB before they are compressed: choose another folder with -o"
    if available < _LITTLE_DISK:
        return [failure("disk", seen, advice)]
    return [warning("disk", seen, advice) if available < _SMALL_DISK else ok("disk", seen)]


def network(folder: Path = _INFINIBAND) -> list[Finding]:
    """Cards of InfiniBand or RoCE, which NCCL uses between hosts."""
    cards = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    if cards:
        return [ok("network", f"InfiniBand or RoCE: {', '.join(cards)}")]
    return [ok("network", "no InfiniBand or RoCE: between hosts NCCL would use IP sockets, within one it needs none")]


def environment(variables: Mapping[str, str]) -> list[Finding]:
    """Variables that a command started here would inherit, and that change what it measures."""
    found = [
        failure("environment", f"{name}={variables[name]}: {what}", f"unset {name}")
        for name, what in _NO_TIMES.items()
        if variables.get(name, "0") not in _HARMLESS
    ]
    found += [
        warning(
            "environment", f"{name}={variables[name]}: {what}", f"unset {name}, unless this is what is to be measured"
        )
        for name, what in _CHANGES.items()
        if variables.get(name, "0").upper() not in _HARMLESS or (name == "NCCL_NVLS_ENABLE" and name in variables)
    ]
    if variables.get("TORCH_DEVICE_BACKEND_AUTOLOAD") == "0":
        advice = "unset TORCH_DEVICE_BACKEND_AUTOLOAD"
        found.append(failure("capture", "TORCH_DEVICE_BACKEND_AUTOLOAD=0: torch will not load capture", advice))
    return found or [ok("environment", "no variable that changes how NCCL or torch communicates")]
