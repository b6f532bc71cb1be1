"""`--paired`: a collective runs on two backends back to back, on copies of its tensors; then the program's own call.

A rank that pairs alone would wait for the others forever, and windows do not close at the same moment, nor is memory
there on all ranks or on none. So each rank takes the memory that a pair needs, then the ranks vote, on the host, and
pair when all can; when one is over, all are. Both calls begin together: a tiny all-reduce goes before each. The order
alternates from call to call, on all ranks alike. Times are read when the window closes, so that no call waits for the
GPU. The first pair of a size is not measured, because backends set up connections, buffers and kernels for it, in
stages that end with a vote each.
"""

import contextlib
import functools
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist

from traceana_capture.agent.agreement import NEW, NOT_NOW, OVER, READY, Elsewhere, Lost, agreed, together
from traceana_capture.agent.call_notes import CALLS
from traceana_capture.agent.carriers import Carrier, Values
from traceana_capture.agent.paired_call import Call, Room, agree, message_bytes, nanoseconds, timed

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
        # Why nothing is paired any more, where something went wrong here.
        self.ended = ""
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

    @contextlib.contextmanager
    def apart(self) -> Iterator[None]:
        """A span of what the program does not do, which the launcher takes out of the trace."""
        with self.held(), CALLS.inside, torch.profiler.record_function(SPAN):
            yield

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
        vote, room = self._prepared(call, len(names))
        with self.held(), torch.profiler.record_function(SPAN):
            try:
                decided = agreed(vote, peer.host_group)
                if decided == NEW and room is not None:
                    self._set_up(call, room)
                elif decided == READY and room is not None:
                    self._measure(call, room)
            except Lost as error:
                self.peers.pop(ranks, None)
                self.end(error)
                return
            except Exception as error:
                # What was set up is the program's memory again; who comes by here goes on voting.
                self.peers[ranks] = Peer(carriers={}, host_group=peer.host_group)
                self.end(error)
                return
        if decided == OVER:
            self.peers.pop(ranks, None)

    def _peer(self, values: Values) -> tuple[tuple[int, ...], Peer | None]:
        try:
            ranks = tuple(dist.get_process_group_ranks(values.get("group")))
        except Exception:  # a group that is none: c10d says it better
            return (), None
        return ranks, self.peers.get(ranks)

    def _prepared(self, call: Call, backends: int) -> tuple[int, Room | None]:
        """This rank's vote, and the memory that it takes."""
        if self._over or CALLS.over:
            return OVER, None
        try:
            if CALLS.recording and len(call.carriers) == backends and call.is_carried():
                return READY if call.kind in self._known and call.is_ready() else NEW, call.room()
        except Exception as error:
            self.end(error)
            return OVER, None
        return NOT_NOW, None

    def end(self, error: Exception) -> None:
        """Pair nothing any more, here and, by this rank's next vote, elsewhere; where it went wrong a line says so."""
        self._over = True
        if not isinstance(error, Elsewhere) and not self.ended:
            self.ended = repr(error)
            sys.stderr.write(f"traceana: --paired ended: {self.ended}\n")

    def release(self) -> None:
        """The window is over: let go of what was measured, and of memory that other ranks hold as long as we do."""
        self.measured.clear()
        if any(peer.carriers for peer in self.peers.values()):
            if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
                torch.cuda.synchronize()
            self.peers = {ranks: Peer(carriers={}, host_group=peer.host_group) for ranks, peer in self.peers.items()}

    def _set_up(self, call: Call, room: Room) -> None:
        """Have both backends run their first call of a kind, where all ranks can."""
        together(call.allocate, call.host_group)
        together(call.share, call.host_group)
        together(lambda: self._issue_all(call, room), call.host_group)
        self._known.add(call.kind)

    def _issue_all(self, call: Call, room: Room) -> None:
        room.give_back_results()
        for name, mine in room.copies.items():
            call.issue(name, mine)

    def _measure(self, call: Call, room: Room) -> None:
        operation, (baseline, candidate) = self.operations[call.function.__name__]
        number = self._calls[call.ranks]
        self._calls[call.ranks] += 1
        order = (baseline, candidate) if number % 2 == 0 else (candidate, baseline)
        near, group = call.values[call.received], call.values.get("group")
        room.give_back_results()
        ran = {name: timed(functools.partial(call.issue, name, room.copies[name]), room.gate, group) for name in order}
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
