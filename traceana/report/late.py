"""Who came last, and why: waiting for a peer followed to that peer."""

import msgspec

from traceana.report.causes import HostPlace


class LateBy(msgspec.Struct, frozen=True, kw_only=True):
    """What a rank did for longer than the peers that waited for it, since they were last together.

    Together `wait_caused_ns` of the value that it stands in. Each peer's wait is shared out among what took the rank
    longer, in proportion; what took it less time than the peer counts for nothing.
    """

    compute_ns: int
    """It computed for longer."""
    memory_ns: int
    """Its copies and sets took longer."""
    host_behind_ns: int
    """Its GPU was idle for longer until the host launched something."""
    held_ns: int
    """Another call held it for longer: of another group, or the one before, which it left later."""
    waiting_ns: int
    """Its GPU was idle for longer with work that was launched, and held by an event or a copy."""
    window_late_ns: int
    """Its recording began later, and nothing is known of both before that."""
    unexplained_ns: int


class LateKernel(msgspec.Struct, frozen=True, kw_only=True):
    """A kernel that took a late rank longer than its peers: `ns` is its part of `compute_ns`."""

    name: str
    ns: int


class Lateness(msgspec.Struct, frozen=True, kw_only=True):
    """The calls to which a rank came last while others waited."""

    times_last: int
    wait_caused_ns: int
    """What its peers together waited for it, as in Straggler."""
    late_ns: int
    """By how much it was later than the mean of its peers, summed over these calls."""
    by: LateBy
    rooted_ns: int
    """`wait_caused_ns` followed on: with what was waited elsewhere for ranks that waited for this one before, in a call
    of another group, and without what it waited for others. Over all calls of a run it adds up to the same."""
    rooted_by: LateBy
    """Together `rooted_ns`."""
    kernels: tuple[LateKernel, ...]
    """The kernels with the largest parts of `by.compute_ns`, at most five."""
    host: tuple[HostPlace, ...]
    """Where the host was for longer than the peers': the largest parts of `by.host_behind_ns`, at most five."""


class LateStep(msgspec.Struct, frozen=True, kw_only=True):
    """The same within one step, by its place in the run's `steps`, and its name."""

    number: int
    step: str
    wait_caused_ns: int
    late_ns: int
    by: LateBy
    kernels: tuple[LateKernel, ...] = ()
    host: tuple[HostPlace, ...] = ()
    """The largest part of `by.compute_ns` and of `by.host_behind_ns`, where there is any."""


class LateRank(msgspec.Struct, frozen=True, kw_only=True):
    """A rank that its peers waited for. `steady` is without warm-up, None where all is warm-up."""

    rank: int
    calls: Lateness
    steady: Lateness | None
    steps: tuple[LateStep, ...]
    """Steps with calls to which it came last, in order."""
