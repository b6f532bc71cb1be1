"""The machine's GPUs as NVML tells them: which, in what state, and how they are linked."""

import ctypes
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from traceana import units
from traceana.doctor.findings import Finding, failure, ok, unknown, warning

_DRIVER = Path("/proc/driver/nvidia/version")
# From nvml.h, "nvmlClocksThrottleReasons".
_HELD_BACK = {
    0x8: "hardware slow-down",
    0x20: "heat, by software",
    0x40: "heat, by hardware",
    0x80: "power brake",
}
_LIMITED = {0x2: "application clocks are set", 0x4: "power cap", 0x10: "sync boost", 0x100: "display clocks are set"}
# nvmlGpuP2PCapsIndex_t of nvml.h; some versions of nvidia-ml-py give the first as a tuple.
_READ, _NVLINK = 0, 2
_OCCUPIED = 0.10


class Gpu(msgspec.Struct, frozen=True, kw_only=True):
    """One GPU; clocks in MHz, memory in bytes, `throttle` NVML's bits. None where NVML does not tell."""

    index: int
    name: str
    sm_clock_mhz: int | None
    largest_sm_clock_mhz: int | None
    temperature_c: int | None
    throttle: int | None
    memory_bytes: int | None
    used_bytes: int | None
    mig: bool | None


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """Two GPUs: whether one may read the other's memory, and over NVLink; None where NVML does not tell."""

    first: int
    second: int
    peers: bool | None
    nvlink: bool | None


class Gpus(msgspec.Struct, frozen=True, kw_only=True):
    """All of them. `driver` and `cuda` are versions, `cuda` the newest that the driver runs."""

    driver: str
    cuda: str
    gpus: tuple[Gpu, ...]
    links: tuple[Link, ...]


def checked() -> list[Finding]:
    """Every check of the GPUs of this machine."""
    if not _DRIVER.exists() and not Path("/dev/nvidiactl").exists():
        advice = "capture and bench run on gloo here; traces of other machines can be analyzed"
        return [ok("GPUs", f"this machine has no NVIDIA GPU: {advice}")]
    found = read()
    if isinstance(found, str):
        return [unknown("GPUs", f"NVML does not answer: {found}", "see whether nvidia-smi runs here")]
    return findings(found)


def findings(found: Gpus) -> list[Finding]:
    """What stands in the way of figures that mean something."""
    kinds = sorted({gpu.name for gpu in found.gpus})
    named = f"{len(found.gpus)} × {kinds[0]}" if len(kinds) == 1 else f"different GPUs: {', '.join(kinds)}"
    several = warning("GPUs", named, "the slower kind sets the pace of all: choose one kind by CUDA_VISIBLE_DEVICES")
    driver = ok("driver", f"{found.driver}, which runs CUDA up to {found.cuda}")
    return [
        ok("GPUs", named) if len(kinds) == 1 else several,
        driver,
        *_links(found.links),
        *(finding for gpu in found.gpus for finding in _state(gpu)),
    ]


def _links(links: Sequence[Link]) -> list[Finding]:
    if not links:
        return []
    apart = [link for link in links if link.peers is False]
    if apart:
        pairs = ", ".join(f"{link.first} and {link.second}" for link in apart)
        advice = (
            "NCCL goes through the host's memory between them; see `nvidia-smi topo -p2p r` and the machine's IOMMU"
        )
        return [warning("GPU links", f"no direct access between GPUs {pairs}", advice)]
    if all(link.peers is None for link in links):
        return [unknown("GPU links", "NVML does not tell of links between these GPUs", "see `nvidia-smi topo -m`")]
    over = sum(link.nvlink is True for link in links)
    if over == len(links):
        return [ok("GPU links", f"NVLink between {units.plural(len(links), 'pair')}, which is all")]
    return [ok("GPU links", f"NVLink between {over} of {len(links)} pairs, the others over PCIe")]


def _state(gpu: Gpu) -> list[Finding]:
    return [found for found in (_clock(gpu), _memory(gpu), _mig(gpu)) if found]


def _clock(gpu: Gpu) -> Finding:
    check = f"GPU {gpu.index} clock"
    if gpu.throttle is None:
        return unknown(check, "NVML does not tell why the clock is as it is")
    seen = f"{gpu.sm_clock_mhz or '?'} of {gpu.largest_sm_clock_mhz or '?'} MHz, {gpu.temperature_c or '?'} °C"
    if held := _named(_HELD_BACK, gpu.throttle):
        return failure(
            check, f"held back by {held}: {seen}", "cool the machine, or see its power supply, and measure then"
        )
    if limited := _named(_LIMITED, gpu.throttle):
        advice = "compare only runs under the same limit; `nvidia-smi -q -d PERFORMANCE,CLOCK,POWER` says which"
        return warning(check, f"limited: {limited}; {seen}", advice)
    return ok(check, f"not held back: {seen}")


def _named(reasons: dict[int, str], bits: int) -> str:
    return ", ".join(text for bit, text in reasons.items() if bits & bit)


def _memory(gpu: Gpu) -> Finding | None:
    if not gpu.memory_bytes or gpu.used_bytes is None or gpu.used_bytes <= _OCCUPIED * gpu.memory_bytes:
        return None
    seen = f"{gpu.used_bytes / 2**30:.0f} of {gpu.memory_bytes / 2**30:.0f} GiB are in use"
    return warning(f"GPU {gpu.index} in use", seen, "another program disturbs every measurement: see `nvidia-smi`")


def _mig(gpu: Gpu) -> Finding | None:
    if not gpu.mig:
        return None
    advice = "NCCL does not join slices of one GPU; measure on whole GPUs"
    return warning(f"GPU {gpu.index} MIG", "the GPU is split into slices (MIG)", advice)


def read() -> Gpus | str:
    """What NVML tells, or why it tells nothing."""
    try:
        import pynvml
    except ImportError:
        return "nvidia-ml-py is not installed (pip install nvidia-ml-py)"
    try:
        pynvml.nvmlInit()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        version = pynvml.nvmlSystemGetCudaDriverVersion_v2()
        return Gpus(
            driver=str(pynvml.nvmlSystemGetDriverVersion()),
            cuda=f"{version // 1000}.{version % 1000 // 10}",
            gpus=tuple(_gpu(pynvml, index, handle) for index, handle in enumerate(handles)),
            links=tuple(_link(pynvml, *pair) for pair in itertools.combinations(enumerate(handles), 2)),
        )
    except pynvml.NVMLError as error:
        return str(error)


def _gpu(nvml: Any, index: int, handle: Any) -> Gpu:
    memory = _asked(nvml, "nvmlDeviceGetMemoryInfo", handle)
    mig = _asked(nvml, "nvmlDeviceGetMigMode", handle)
    return Gpu(
        index=index,
        name=str(nvml.nvmlDeviceGetName(handle)),
        sm_clock_mhz=_asked(nvml, "nvmlDeviceGetClockInfo", handle, nvml.NVML_CLOCK_SM),
        largest_sm_clock_mhz=_asked(nvml, "nvmlDeviceGetMaxClockInfo", handle, nvml.NVML_CLOCK_SM),
        temperature_c=_asked(nvml, "nvmlDeviceGetTemperature", handle, nvml.NVML_TEMPERATURE_GPU),
        throttle=_asked(nvml, "nvmlDeviceGetCurrentClocksThrottleReasons", handle),
        memory_bytes=memory.total if memory else None,
        used_bytes=memory.used if memory else None,
        mig=bool(mig[0]) if mig else None,
    )


def _link(nvml: Any, first: tuple[int, Any], second: tuple[int, Any]) -> Link:
    asked = ("nvmlDeviceGetP2PStatus", first[1], second[1])
    read, nvlink = (_asked(nvml, *asked, kind) for kind in (_READ, _NVLINK))
    fine = nvml.NVML_P2P_STATUS_OK
    return Link(
        first=first[0],
        second=second[0],
        peers=None if read is None else read == fine,
        nvlink=None if nvlink is None else nvlink == fine,
    )


def _asked(nvml: Any, function: str, *arguments: Any) -> Any:
    """NVML's answer; None where this GPU or driver has none."""
    try:
        return getattr(nvml, function)(*arguments)
    except (nvml.NVMLError, AttributeError, ctypes.ArgumentError):
        return None
