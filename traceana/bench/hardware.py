"""What NVML knows of the device: clocks and heat while it was measured, and what its links can carry at most."""

import platform
from typing import Any

import torch

from traceana.bench.world import World
from traceana.report.bench import Peak

# One lane's GB/s in one direction by PCIe generation, after encoding.
_PCIE_LANE_GBPS = {1: 0.25, 2: 0.5, 3: 0.985, 4: 1.969, 5: 3.938, 6: 7.563}
_CLOCKS = "clocks"
_REASONS = {
    "SwPowerCap": "power cap",
    "HwSlowdown": "hardware slow-down",
    "SwThermalSlowdown": "heat",
    "HwThermalSlowdown": "heat",
    "HwPowerBrakeSlowdown": "power brake",
    "ApplicationsClocksSetting": "set clocks",
    "SyncBoost": "sync boost",
}


def machine(device: torch.device) -> tuple[tuple[str, str], ...]:
    """Pairs of a name and what is known: the device and versions."""
    facts = (("host", platform.machine()), ("torch", str(torch.__version__)))
    if device.type != "cuda":
        return (*facts, ("device", "CPU"))
    nccl = ".".join(map(str, torch.cuda.nccl.version()))  # type: ignore[no-untyped-call]
    return (*facts, ("NCCL", nccl), ("device", torch.cuda.get_device_name(device)))


def state(device: torch.device, *, after: bool = False) -> tuple[tuple[str, str], ...]:
    """The clock, the temperature and what holds the clock down, before the bench or after it."""
    if device.type != "cuda":
        return ()
    nvml = _nvml()
    if nvml is None:
        return ((_CLOCKS, "not known: nvidia-ml-py is not installed (pip install 'traceana[bench]')"),)
    try:
        handle = _handle(nvml, device)
        clock = nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM)
        heat = nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU)
        reasons = nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle)
    except nvml.NVMLError as error:
        return ((_CLOCKS, f"not known: {error}"),)
    held = throttled_by(nvml, reasons) or "nothing"
    return ((f"{_CLOCKS} {'after' if after else 'before'}", f"{clock} MHz, {heat} °C, held down by {held}"),)


def peak(world: World, given_gbps: float | None) -> Peak | None:
    """The most that a rank's link carries in one direction: as given, else NVLink's or PCIe's of one host by NVML."""
    if given_gbps is not None:
        return Peak(link="link", gbps=given_gbps, source="--peak")
    nvml = _nvml()
    if nvml is None or not world.on_gpu or torch.cuda.device_count() < world.size:
        return None
    try:
        handle = _handle(nvml, world.device)
        return nvlink(nvml, handle) or pcie(nvml, handle)
    except nvml.NVMLError:
        return None


def _nvml() -> Any:
    """NVML's module, set up; None where it is not installed or there is no driver."""
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    return pynvml


def _handle(nvml: Any, device: torch.device) -> Any:
    # NVML does not know of CUDA_VISIBLE_DEVICES, so a number would be another GPU's.
    name = str(torch.cuda.get_device_properties(device).uuid)
    return nvml.nvmlDeviceGetHandleByUUID(name if name.startswith("GPU-") else f"GPU-{name}")


def nvlink(nvml: Any, handle: Any) -> Peak | None:
    """All active links together; None where there is none."""
    speeds = [speed for link in range(nvml.NVML_NVLINK_MAX_LINKS) if (speed := _link_gbps(nvml, handle, link))]
    if not speeds:
        return None
    source = f"NVML: {len(speeds)} links of {max(speeds):.1f} GB/s in one direction"
    return Peak(link="NVLink", gbps=sum(speeds), source=source)


def _link_gbps(nvml: Any, handle: Any, link: int) -> float:
    """0 for a link that is not there or not active."""
    try:
        if not nvml.nvmlDeviceGetNvLinkState(handle, link):
            return 0.0
        fields = [(nvml.NVML_FI_DEV_NVLINK_GET_SPEED, link), nvml.NVML_FI_DEV_NVLINK_SPEED_MBPS_COMMON]
        values = nvml.nvmlDeviceGetFieldValues(handle, fields)
    except nvml.NVMLError:
        return 0.0
    return next((float(one.value.uiVal) / 1000 for one in values if one.nvmlReturn == 0 and one.value.uiVal), 0.0)


def pcie(nvml: Any, handle: Any) -> Peak | None:
    """The slot's lanes at their most; None for a generation that is not known here."""
    generation, width = nvml.nvmlDeviceGetMaxPcieLinkGeneration(handle), nvml.nvmlDeviceGetMaxPcieLinkWidth(handle)
    if generation not in _PCIE_LANE_GBPS:
        return None
    return Peak(
        link="PCIe", gbps=_PCIE_LANE_GBPS[generation] * width, source=f"NVML: generation {generation}, {width} lanes"
    )


def throttled_by(nvml: Any, reasons: int) -> str:
    """NVML's bits in words, such as "power cap"; empty where nothing holds the clock down."""
    found = [words for name, words in _REASONS.items() if reasons & getattr(nvml, f"nvmlClocksThrottleReason{name}", 0)]
    return ", ".join(dict.fromkeys(found))
