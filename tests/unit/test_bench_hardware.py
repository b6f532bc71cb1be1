"""What a link carries at most, and what holds a clock down, from what NVML says."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from traceana.bench import hardware
from traceana.bench.world import World


class NvmlError(Exception):
    pass


def nvml(*, links: int, mbps: int = 26562) -> Any:
    """A GPU with so many active NVLinks, in a slot of PCIe 5 with 16 lanes; asking for more links is an error."""

    def state(_: object, link: int) -> int:
        if link >= 18:
            raise NvmlError
        return int(link < links)

    def fields(_: object, wanted: list[object]) -> list[Any]:
        # As a H200's driver answers: the first field is the link's own, the second is not supported.
        return [
            SimpleNamespace(nvmlReturn=0 if isinstance(one, tuple) else 3, value=SimpleNamespace(uiVal=mbps))
            for one in wanted
        ]

    return SimpleNamespace(
        NVMLError=NvmlError,
        NVML_NVLINK_MAX_LINKS=36,
        NVML_FI_DEV_NVLINK_GET_SPEED=164,
        NVML_FI_DEV_NVLINK_SPEED_MBPS_COMMON=90,
        nvmlDeviceGetNvLinkState=state,
        nvmlDeviceGetFieldValues=fields,
        nvmlDeviceGetMaxPcieLinkGeneration=lambda _: 5,
        nvmlDeviceGetMaxPcieLinkWidth=lambda _: 16,
        nvmlClocksThrottleReasonSwPowerCap=4,
        nvmlClocksThrottleReasonHwThermalSlowdown=0x40,
        nvmlClocksThrottleReasonSwThermalSlowdown=0x20,
    )


def test_all_links_together_are_the_peak() -> None:
    found = hardware.nvlink(nvml(links=18), None)
    assert found is not None
    assert found.gbps == pytest.approx(18 * 26.562)
    assert found.source == "NVML: 18 links of 26.6 GB/s in one direction"


def test_without_links_it_is_the_slot() -> None:
    assert hardware.nvlink(nvml(links=0), None) is None
    found = hardware.pcie(nvml(links=0), None)
    assert found is not None
    assert (found.link, round(found.gbps)) == ("PCIe", 63)


def test_a_given_peak_counts() -> None:
    world = World(rank=0, size=2, device=torch.device("cpu"))
    found = hardware.peak(world, 50.0)
    assert found is not None
    assert (found.gbps, found.source) == (50.0, "--peak")
    assert hardware.peak(world, None) is None


def test_what_holds_the_clock_down_has_a_name() -> None:
    assert hardware.throttled_by(nvml(links=0), 4 | 0x20 | 0x40) == "power cap, heat"
    assert hardware.throttled_by(nvml(links=0), 1) == ""
