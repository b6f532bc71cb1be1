"""Why time was lost: each value's parts add up, to the nanosecond, to the figure that it explains."""

import msgspec


class ExposedIs(msgspec.Struct, frozen=True, kw_only=True):
    """What exposed communication was spent on; together `exposed_comm_ns`, of an operation `exposed_ns`.

    Where several calls run at once, an instant counts as transfer if any of them transfers.
    """

    peer_ns: int
    """Waiting for the rank that came last."""
    transfer_ns: int
    """Transferring, up to the usual time of the run's calls of that kind: their median, and where none is matched, so
    that durations have waiting in them, that of the fastest."""
    slow_transfer_ns: int
    """Transferring for longer than that."""
    unexplained_ns: int
    """Of calls that were not matched although the run has all their ranks."""
    peer_or_transfer_ns: int = 0
    """Waiting or transferring, which nothing tells apart: calls whose other ranks' traces are not in the run, or whose
    ranks' clocks cannot be compared, beyond the fastest of their kind; all of a call whose kind is not repeated."""


class UncoveredBy(msgspec.Struct, frozen=True, kw_only=True):
    """Why no compute covered the exposed communication: what held the kernel that computed next.

    Together `exposed_comm_ns`, of an operation `exposed_ns`.
    """

    same_stream_ns: int
    """It was launched, and lay behind the call on the call's own stream."""
    dependent_ns: int
    """It was launched on another stream, and its stream went on when the call was over."""
    nothing_launched_ns: int
    """The host had not launched it yet."""
    behind_call_ns: int
    """It was launched, and another collective came before it on its stream, or is what it waits for and could not begin
    before this one was over."""
    unexplained_ns: int
    """Its launch is not known."""
    waiting_ns: int = 0
    """It was launched, and held by something other than a collective: a copy, or an event of another stream."""


class IdleBy(msgspec.Struct, frozen=True, kw_only=True):
    """Why the GPU had nothing to do: what held the activity that ended the gap. Together `idle_ns`."""

    host_behind_ns: int
    """The host had not launched it yet, or just had."""
    waiting_ns: int
    """It was launched, and held by what it waits for."""
    outside_ns: int
    """Before the first launch of the recording, and after the last."""
    unexplained_ns: int
    """Its launch is not in the trace."""


class HostPlace(msgspec.Struct, frozen=True, kw_only=True):
    """Where the host was while a GPU had nothing to do, on the thread that launched next.

    `kind` is `operator` (the outermost of PyTorch's operators), `frame` (the innermost Python frame outside of
    operators, in traces with stacks), `span` (the innermost user span, without stacks), `nothing` (no such thing was
    open) or `rest` (all other places together).
    """

    kind: str
    name: str
    ns: int
