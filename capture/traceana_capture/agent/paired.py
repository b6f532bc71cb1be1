"""`--paired`: a collective runs on two backends back to back, on copies of its tensors; then the program's own call.

A rank that pairs alone would wait for the others forever, and windows do not close at the same moment, nor is memory
for copies there on all ranks or on none. So the ranks vote before each call, on the host, and pair when all can; when
one is over, all are. Both calls begin together: a tiny all-reduce goes before each. The order alternates from call to
call, on all ranks alike. Times are read when the window closes, so that no call waits for the GPU. The first pair of
a size is not measured, because backends set up connections, buffers and kernels for it.
"""

import contextlib
import functools
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist

from traceana_capture.agent.call_notes import CALLS
from traceana_capture.agent.carriers import Carrier, Values
from traceana_capture.agent.paired_call import Call, agree, copied, message_bytes, nanoseconds, timed

# Votes; the lowest counts.
OVER, NOT_NOW, NEW, READY = -1, 0, 1, 2
# What --paired calls an operation -> c10d's functions for it.
FUNCTIONS = {
    "all_reduce": ("all_reduce",),
    "broadcast": ("broadcast",),
    "all_gather": ("all_gather_into_tensor", "all_gather_single"),
    "reduce_scatter": ("reduce_scatter_tensor", "reduce_scatter_single"),
    "all_to_all": ("all_to_all_single",),
}
SPAN = "traceana paired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One call on both backends; times in ns, or the events around them."""

    op: str
    message_bytes: int
    dtype: str
    ranks: tuple[int, ...]
    number: int
    first: str
    baseline: str
    candidate: str
    times: dict[str, Any]
    agree: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """What carries calls of some ranks, by the backend's name, and a group of theirs on the host, for votes.

    None is the default group.
    """

    carriers: dict[str, Carrier]
    host_group: Any


class Pairs:
    """The calls that run twice more, and what was measured of them."""

    def __init__(self) -> None:
        # c10d's function -> what --paired calls it, and the backends that are held against each other.
        self.operations: dict[str, tuple[str, tuple[str, str]]] = {}
        self.peers: dict[tuple[int, ...], Peer] = {}
        self.measured: list[Pair] = []
        # A span that the window's end cuts off would leave its calls in the trace.
        self.held: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext
        self._over = False
        self._calls: Counter[tuple[int, ...]] = Counter()
        # What ran on both backends before: ranks, function, type and size.
        self._known: set[tuple[object, ...]] = set()

    def choose(self, chosen: dict[str, Sequence[str]]) -> None:
        """Pair these operations from now on, each on its two backends."""
        self.operations = {
            name: (operation, (one, other))
            for operation, (one, other) in chosen.items()
            for name in FUNCTIONS[operation]
        }
        CALLS.routed = CALLS.routed or bool(chosen)
        CALLS.listen()

    @property
    def backends(self) -> set[str]:
        """All that carry pairs."""
        return {name for _, pair in self.operations.values() for name in pair}

    def add(self, ranks: tuple[int, ...], carriers: dict[str, Carrier], host_group: Any) -> None:
        """These carry calls of these ranks, beside what another group of the same ranks has."""
        earlier = self.peers[ranks].carriers if ranks in self.peers else {}
        self.peers[ranks] = Peer(carriers=earlier | carriers, host_group=host_group)
        # Another carrier has not prepared what the one before it has.
        self._known = {kind for kind in self._known if kind[0] != ranks}

    def run(self, function: Callable[..., Any], values: Values, received: str) -> None:
        """Run c10d's `function` on both backends on copies of `values`, whose tensor `received` is the result.

        What goes wrong ends the pairing on all ranks, and not the program.
        """
        ranks, peer = self._peer(values)
        if peer is None:
            return
        _, names = self.operations[function.__name__]
        carriers = {name: peer.carriers[name] for name in names if name in peer.carriers}
        call = Call(function, values, received, ranks, carriers, peer.host_group)
        vote, copies = self._prepared(call, len(names))
        with self.held(), torch.profiler.record_function(SPAN):
            try:
                agreed = _agreed(vote, peer.host_group)
                if agreed == NEW:
                    self._set_up(call, copies)
                elif agreed == READY:
                    self._measure(call, copies)
            except Exception as error:
                self._end(error)
                return
        if agreed == OVER:
            self.peers.pop(ranks, None)

    def _peer(self, values: Values) -> tuple[tuple[int, ...], Peer | None]:
        try:
            ranks = tuple(dist.get_process_group_ranks(values.get("group")))
        except Exception:  # a group that is none: c10d says it better
            return (), None
        return ranks, self.peers.get(ranks)

    def _prepared(self, call: Call, backends: int) -> tuple[int, list[Values]]:
        """This rank's vote, and the copies that it takes."""
        if self._over or CALLS.over:
            return OVER, []
        try:
            if CALLS.recording and len(call.carriers) == backends and call.is_carried():
                return READY if call.kind in self._known else NEW, [copied(call.values) for _ in call.carriers]
        except Exception as error:
            self._end(error)
            return OVER, []
        return NOT_NOW, []

    def _end(self, error: Exception) -> None:
        self._over = True
        sys.stderr.write(f"traceana: --paired ended: {error!r}\n")

    def _set_up(self, call: Call, copies: list[Values]) -> None:
        """Have both backends run their first call of a kind, where all ranks can."""
        self._known.add(call.kind)
        vote = READY
        for carrier in call.carriers.values():
            try:
                carrier.prepare(call.values)
            except Exception as error:
                self._end(error)
                vote = OVER
                break
        if _agreed(vote, call.host_group) == READY:
            for name, mine in zip(call.carriers, copies, strict=True):
                call.issue(name, mine)

    def _measure(self, call: Call, copies: list[Values]) -> None:
        operation, (baseline, candidate) = self.operations[call.function.__name__]
        number = self._calls[call.ranks]
        self._calls[call.ranks] += 1
        order = (baseline, candidate) if number % 2 == 0 else (candidate, baseline)
        near, group = call.values[call.received], call.values.get("group")
        ran = {
            name: timed(functools.partial(call.issue, name, mine), near, group)
            for name, mine in zip(order, copies, strict=True)
        }
        self.measured.append(
            Pair(
                op=operation,
                message_bytes=message_bytes(call.values),
                dtype=str(near.dtype).removeprefix("torch."),
                ranks=call.ranks,
                number=number,
                first=order[0],
                baseline=baseline,
                candidate=candidate,
                times={name: times for name, (times, _) in ran.items()},
                agree=agree(ran[baseline][1], ran[candidate][1]),
            )
        )

    def export(self) -> list[dict[str, Any]]:
        """What was measured, in words that JSON has; waits for the GPU."""
        if any(isinstance(pair.times[pair.first], tuple) for pair in self.measured):
            torch.cuda.synchronize()
        return [
            {
                "op": pair.op,
                "message_bytes": pair.message_bytes,
                "dtype": pair.dtype,
                "ranks": pair.ranks,
                "number": pair.number,
                "first": pair.first,
                "baseline": pair.baseline,
                "candidate": pair.candidate,
                "baseline_ns": nanoseconds(pair.times[pair.baseline]),
                "candidate_ns": nanoseconds(pair.times[pair.candidate]),
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
