"""A call that runs on two backends: what it is, how it is copied and timed, and whether both gave the same."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist

from traceana_capture.agent.carriers import Carrier, Values, tensors_of

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

    def is_ready(self) -> bool:
        """Whether each of them has all that such a call needs."""
        return all(carrier.is_ready(self.values) for carrier in self.carriers.values())

    def allocate(self) -> None:
        """Have each of them take this rank's own part of that."""
        for carrier in self.carriers.values():
            carrier.allocate(self.values)

    def share(self) -> None:
        """Have each of them exchange it with the other ranks."""
        for carrier in self.carriers.values():
            carrier.share(self.values)

    def issue(self, name: str, copies: Values) -> torch.Tensor:
        """Run it on this backend; the result."""
        return self.carriers[name].issue(self.function, copies, self.received)

    def room(self) -> "Room":
        """Take the memory that both calls need; raises where there is none."""
        near = self.values[self.received]
        makers = [one for one in self.carriers.values() if one.makes_result(self.function.__name__)]
        return Room(
            copies={name: _copied(self.values) for name in self.carriers},
            gate=torch.zeros(1, device=near.device),
            results=[torch.empty_like(near) for _ in makers],
        )


@dataclass(frozen=True, slots=True)
class Room:
    """Memory for a call on two backends: copies of its tensors, what is reduced before each, and results to come.

    A call that finds none when the others have begun would leave them waiting.
    """

    copies: dict[str, Values]
    gate: torch.Tensor
    results: list[torch.Tensor]

    def give_back_results(self) -> None:
        """Have torch's allocator keep them for the calls that begin now."""
        self.results.clear()


def message_bytes(values: Values) -> int:
    """Of the call's largest tensor."""
    return max(tensor.numel() * tensor.element_size() for tensor in tensors_of(values))


def _copied(values: Values) -> Values:
    """The values with tensors of their own."""
    return {name: value.clone() if isinstance(value, torch.Tensor) else value for name, value in values.items()}


def timed(issue: Callable[[], torch.Tensor], gate: torch.Tensor, group: Any) -> tuple[Any, torch.Tensor]:
    """Nanoseconds of a call on the host, or the CUDA events before and after it; and its result."""
    dist.all_reduce(gate, group=group)
    if not gate.is_cuda:
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
