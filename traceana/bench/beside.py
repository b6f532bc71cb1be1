"""What surrounds the calls: the machine with its clocks, and compute that runs beside them."""

import platform
from dataclasses import replace

import torch

from traceana.bench.results import BenchRow
from traceana.bench.timing import Timer, new_events, new_stream
from traceana.bench.world import World

_MATRIX = 4096
_ROUNDS = 5


def machine(device: torch.device) -> tuple[tuple[str, str], ...]:
    """Pairs of a name and what is known: the device, versions, and the GPU's clocks and throttling by NVML."""
    facts = [("host", platform.machine()), ("torch", str(torch.__version__))]
    if device.type != "cuda":
        return (*facts, ("device", "CPU"))
    return (*facts, ("device", torch.cuda.get_device_name(device)), *_clocks(device.index or 0))


def _clocks(index: int) -> tuple[tuple[str, str], ...]:
    try:
        import pynvml
    except ImportError:
        return (("clocks", "not known: nvidia-ml-py is not installed"),)
    try:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        sm = pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_SM)
        heat = pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU)
        reasons = pynvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle)
    except pynvml.NVMLError as error:
        return (("clocks", f"not known: {error}"),)
    return (("SM clock", f"{sm} MHz"), ("temperature", f"{heat} °C"), ("throttle reasons", f"{reasons:#x}"))


def under_compute(row: BenchRow, timer: Timer, world: World) -> BenchRow:
    """The row with the times of its calls beside a matrix product on another stream, and the product's slow-down."""
    matrix = torch.ones(_MATRIX, _MATRIX, dtype=torch.bfloat16, device=world.device)
    stream = new_stream()
    rounds = max(1, round(row.p50_ns * len(timer.calls) / max(_product_ns(matrix, stream, 1), 1)) + 1)
    alone = _product_ns(matrix, stream, rounds)
    times, products = [], []
    for _ in range(_ROUNDS):
        begin, end = new_events(2)
        with torch.cuda.stream(stream):
            begin.record()
            for _ in range(rounds):
                torch.mm(matrix, matrix)
            end.record()
        times.append(timer.block().calls_ns.double().median())
        torch.cuda.synchronize(world.device)
        products.append(begin.elapsed_time(end) * 1e6)
    return replace(
        row,
        under_compute_p50_ns=round(float(torch.stack(times).median())),
        compute_slowdown=sorted(products)[_ROUNDS // 2] / max(alone, 1),
    )


def _product_ns(matrix: torch.Tensor, stream: torch.cuda.Stream, rounds: int) -> float:
    begin, end = new_events(2)
    with torch.cuda.stream(stream):
        torch.mm(matrix, matrix)
        begin.record()
        for _ in range(rounds):
            torch.mm(matrix, matrix)
        end.record()
    torch.cuda.synchronize()
    return float(begin.elapsed_time(end)) * 1e6
