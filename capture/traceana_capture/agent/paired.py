"""`--paired`: a collective runs on both backends back to back, on copies of its tensors; then the program's own call.

A rank that pairs alone would wait for the others forever, and windows do not close at the same moment, nor is memory
for copies there on all ranks or on none. So the ranks vote before each call, on the host, and pair when all can; when
one is over, all are. Both calls begin together: a tiny all-reduce goes before each. The order alternates from call to
call, on all ranks alike. Times are read when the window closes, so that no call waits for the GPU.
"""

import contextlib
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist

from traceana_capture.agent import routes
from traceana_capture.agent.call_notes import CALLS

# Votes; the lowest counts.
OVER, NOT_NOW, READY = -1, 0, 1
# What --paired calls an operation -> c10d's functions for it.
FUNCTIONS = {
    "all_reduce": ("all_reduce",),
    "broadcast": ("broadcast",),
    "all_gather": ("all_gather_into_tensor", "all_gather_single"),
    "reduce_scatter": ("reduce_scatter_tensor", "reduce_scatter_single"),
    "all_to_all": ("all_to_all_single",),
}
SPAN = "traceana paired"
# Relative: sums in another order differ in the last bits of a short float.
TOLERANCE = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One call on both backends; times in ns, or the events around them."""

    op: str
    message_bytes: int
    dtype: str
    ranks: tuple[int, ...]
    number: int
    first: str
    torch: Any
    pynccl: Any
    agree: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """PyNccl's communicator of some ranks, and a group of theirs on the host, for votes; None is the default group."""

    pynccl: Any
    host_group: Any


class Pairs:
    """The calls that run twice more, and what was measured of them."""

    def __init__(self) -> None:
        self.operations: dict[str, str] = {}
        self.peers: dict[tuple[int, ...], Peer] = {}
        self.measured: list[Pair] = []
        # A span that the window's end cuts off would leave its calls in the trace.
        self.held: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext
        self._over = False
        self._calls: Counter[tuple[int, ...]] = Counter()

    def choose(self, operations: list[str]) -> None:
        """Pair these operations from now on."""
        self.operations = {name: operation for operation in operations for name in FUNCTIONS[operation]}
        CALLS.routed = CALLS.routed or bool(operations)
        CALLS.listen()

    def run(self, function: Callable[..., Any], values: dict[str, Any], received: str) -> None:
        """Run c10d's `function` and PyNccl's on copies of `values`, whose tensor `received` is the result.

        What goes wrong ends the pairing on all ranks, and not the program.
        """
        ranks, peer = self._peer(values)
        if peer is None:
            return
        vote, copies = self._prepared(function, values)
        with self.held(), torch.profiler.record_function(SPAN):
            try:
                agreed = _agreed(vote, peer.host_group)
                if agreed == READY:
                    self._measure(function, values, received, ranks, copies)
            except Exception as error:
                self._end(error)
                return
        if agreed == OVER:
            self.peers.pop(ranks, None)

    def _peer(self, values: dict[str, Any]) -> tuple[tuple[int, ...], Peer | None]:
        try:
            ranks = tuple(dist.get_process_group_ranks(values.get("group")))
        except Exception:  # a group that is none: c10d says it better
            return (), None
        return ranks, self.peers.get(ranks)

    def _prepared(self, function: Callable[..., Any], values: dict[str, Any]) -> tuple[int, dict[str, dict[str, Any]]]:
        """This rank's vote, and the copies that it takes."""
        if self._over or CALLS.over:
            return OVER, {}
        tensors = [value for value in values.values() if isinstance(value, torch.Tensor)]
        try:
            if CALLS.recording and routes.carries(function.__name__, tensors, values):
                return READY, {name: _copied(values) for name in ("torch", "pynccl")}
        except Exception as error:
            self._end(error)
            return OVER, {}
        return NOT_NOW, {}

    def _end(self, error: Exception) -> None:
        self._over = True
        sys.stderr.write(f"traceana: --paired ended: {error!r}\n")

    def _measure(
        self,
        function: Callable[..., Any],
        values: dict[str, Any],
        received: str,
        ranks: tuple[int, ...],
        copies: dict[str, dict[str, Any]],
    ) -> None:
        pynccl, number = self.peers[ranks].pynccl, self._calls[ranks]
        self._calls[ranks] += 1
        issue: dict[str, Callable[[], Any]] = {
            "torch": lambda: function(**copies["torch"] | {"async_op": False}),
            "pynccl": lambda: routes.ROUTES[function.__name__](pynccl, copies["pynccl"], _stream(values[received])),
        }
        order = ("torch", "pynccl") if number % 2 == 0 else ("pynccl", "torch")
        times = {name: _timed(issue[name], values[received], values.get("group")) for name in order}
        self.measured.append(
            Pair(
                op=self.operations[function.__name__],
                message_bytes=_message_bytes(values),
                dtype=str(values[received].dtype).removeprefix("torch."),
                ranks=ranks,
                number=number,
                first=order[0],
                torch=times["torch"],
                pynccl=times["pynccl"],
                agree=_agree(copies["torch"][received], copies["pynccl"][received]),
            )
        )

    def export(self) -> list[dict[str, Any]]:
        """What was measured, in words that JSON has; waits for the GPU."""
        if any(isinstance(pair.torch, tuple) for pair in self.measured):
            torch.cuda.synchronize()
        return [
            {
                "op": pair.op,
                "message_bytes": pair.message_bytes,
                "dtype": pair.dtype,
                "ranks": pair.ranks,
                "number": pair.number,
                "first": pair.first,
                "torch_ns": _nanoseconds(pair.torch),
                "pynccl_ns": _nanoseconds(pair.pynccl),
                "agree": bool(pair.agree),
            }
            for pair in self.measured
        ]


PAIRS = Pairs()


def _agreed(vote: int, host_group: Any) -> int:
    """The lowest vote of all ranks."""
    votes = torch.tensor([vote], device="cpu")
    dist.all_reduce(votes, op=dist.ReduceOp.MIN, group=host_group)
    return int(votes.item())


def _message_bytes(values: dict[str, Any]) -> int:
    return max(value.numel() * value.element_size() for value in values.values() if isinstance(value, torch.Tensor))


def _copied(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value.clone() if isinstance(value, torch.Tensor) else value for name, value in values.items()}


def _stream(tensor: torch.Tensor) -> Any:
    return torch.cuda.current_stream() if tensor.is_cuda else None


def _timed(issue: Callable[[], Any], near: torch.Tensor, group: Any) -> Any:
    """Nanoseconds of a call on the host, or the CUDA events before and after it."""
    dist.all_reduce(torch.zeros(1, device=near.device), group=group)
    if not near.is_cuda:
        begin = time.perf_counter_ns()
        issue()
        return time.perf_counter_ns() - begin
    event: Any = torch.cuda.Event
    start, end = event(enable_timing=True), event(enable_timing=True)
    start.record()
    issue()
    end.record()
    return start, end


def _nanoseconds(measured: int | tuple[Any, Any]) -> int:
    if isinstance(measured, int):
        return measured
    start, end = measured
    milliseconds: float = start.elapsed_time(end)
    return round(milliseconds * 1e6)


def _agree(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Whether both backends gave the same, but for rounding; a tensor, so that nobody waits for it."""
    if not one.is_floating_point():
        return (one == other).all()
    return torch.isclose(one, other, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True).all()
