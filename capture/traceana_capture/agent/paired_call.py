"""A call that runs on two backends: what it is, how it is copied and timed, and whether both gave the same."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist

from traceana_capture.agent.carriers import Carrier, Values

# Relative: sums in another order differ in the last bits of a short float.
TOLERANCE = 0.05


@dataclass(frozen=True, slots=True)
class Call:
    """A call of c10d, the ranks of its group, what may carry copies of it, and where these ranks vote."""

    function: Callable[..., Any]
    values: Values
    received: str
    ranks: tuple[int, ...]
    carriers: dict[str, Carrier]
    host_group: Any

    @property
    def kind(self) -> tuple[object, ...]:
        """What calls have in common that need no further preparation."""
        return self.ranks, self.function.__name__, self.values[self.received].dtype, message_bytes(self.values)

    def is_carried(self) -> bool:
        """Whether each of the backends takes the call."""
        return all(carrier.carries(self.function.__name__, self.values) for carrier in self.carriers.values())

    def issue(self, name: str, copies: Values) -> torch.Tensor:
        """Run it on this backend; the result."""
        return self.carriers[name].issue(self.function, copies, self.received)


def message_bytes(values: dict[str, Any]) -> int:
    """Of the call's largest tensor."""
    return max(value.numel() * value.element_size() for value in values.values() if isinstance(value, torch.Tensor))


def copied(values: dict[str, Any]) -> dict[str, Any]:
    """The values with tensors of their own."""
    return {name: value.clone() if isinstance(value, torch.Tensor) else value for name, value in values.items()}


def timed(issue: Callable[[], torch.Tensor], near: torch.Tensor, group: Any) -> tuple[Any, torch.Tensor]:
    """Nanoseconds of a call on the host, or the CUDA events before and after it; and its result."""
    dist.all_reduce(torch.zeros(1, device=near.device), group=group)
    if not near.is_cuda:
        begin = time.perf_counter_ns()
        result = issue()
        return time.perf_counter_ns() - begin, result
    event: Any = torch.cuda.Event
    start, end = event(enable_timing=True), event(enable_timing=True)
    start.record()
    result = issue()
    end.record()
    return (start, end), result


def nanoseconds(measured: int | tuple[Any, Any]) -> int:
    """Of what `timed` gave; its events must be over."""
    if isinstance(measured, int):
        return measured
    start, end = measured
    milliseconds: float = start.elapsed_time(end)
    return round(milliseconds * 1e6)


def agree(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Whether both backends gave the same, but for rounding; a tensor, so that nobody waits for it."""
    if not one.is_floating_point():
        return (one == other).all()
    return torch.isclose(one, other, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True).all()
