"""The causes of lost time in words, each with what can be done."""

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

import msgspec

from traceana.report import ExposedIs, IdleBy, UncoveredBy

T = TypeVar("T", ExposedIs, UncoveredBy, IdleBy)


class Cause(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """One part of an answer, in ns; `advice` is empty where there is none to give."""

    name: str
    advice: str
    ns: Callable[[T], int]


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """What a cause cost on a mean rank, and its share of the whole from 0 to 1."""

    name: str
    advice: str
    ns: float
    share: float


EXPOSED_IS: tuple[Cause[ExposedIs], ...] = (
    Cause(
        name="waiting for the last rank",
        advice="see who arrives last, and what that rank did before",
        ns=lambda found: found.peer_ns,
    ),
    Cause(
        name="transfer",
        advice="overlap it with compute, send less, or try another backend",
        ns=lambda found: found.transfer_ns,
    ),
    Cause(
        name="slow transfer",
        advice="calls slower than the usual one of their kind: look for other traffic on the links",
        ns=lambda found: found.slow_transfer_ns,
    ),
    Cause(
        name="waiting or transfer, which one side alone cannot tell",
        advice="add the traces of the other ranks of these calls",
        ns=lambda found: found.peer_or_transfer_ns,
    ),
    Cause(
        name="not explained",
        advice="these calls were not matched, although all their ranks are here",
        ns=lambda found: found.unexplained_ns,
    ),
)
UNCOVERED_BY: tuple[Cause[UncoveredBy], ...] = (
    Cause(
        name="compute lies behind the call on its stream",
        advice="async_op=True, or a stream of its own for communication",
        ns=lambda found: found.same_stream_ns,
    ),
    Cause(
        name="compute on another stream waits for the call",
        advice="give the GPU work that does not need the result, or accept it",
        ns=lambda found: found.dependent_ns,
    ),
    Cause(
        name="the host had launched nothing yet",
        advice="CUDA graphs, torch.compile, or fewer launches",
        ns=lambda found: found.nothing_launched_ns,
    ),
    Cause(
        name="another collective comes first",
        advice="another process group, or collectives in another order",
        ns=lambda found: found.behind_call_ns,
    ),
    Cause(
        name="compute waits for something else",
        advice="look at copies, and at events of other streams",
        ns=lambda found: found.waiting_ns,
    ),
    Cause(name="not explained", advice="", ns=lambda found: found.unexplained_ns),
)
IDLE_BY: tuple[Cause[IdleBy], ...] = (
    Cause(
        name="the host was behind",
        advice="CUDA graphs, torch.compile, or fewer launches",
        ns=lambda found: found.host_behind_ns,
    ),
    Cause(
        name="work was launched and waited",
        advice="look at what it waits for: events, other streams",
        ns=lambda found: found.waiting_ns,
    ),
    Cause(
        name="before the first launch and after the last",
        advice="",
        ns=lambda found: found.outside_ns,
    ),
    Cause(name="not explained", advice="", ns=lambda found: found.unexplained_ns),
)


def explained(found: Iterable[T | None], causes: tuple[Cause[T], ...]) -> tuple[Explained, ...]:
    """The causes of the mean of what was found, the largest first; empty where there is nothing to explain.

    What has no causes, a rank without a GPU, is left out of the mean.
    """
    known = [one for one in found if one is not None]
    whole = sum(cause.ns(one) for one in known for cause in causes)
    if not whole:
        return ()
    sums = [(cause, sum(cause.ns(one) for one in known)) for cause in causes]
    by_cost = sorted(sums, key=lambda pair: -pair[1])
    return tuple(
        Explained(name=cause.name, advice=cause.advice, ns=ns / len(known), share=ns / whole)
        for cause, ns in by_cost
        if ns
    )
