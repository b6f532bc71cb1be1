"""What each rank of a group did before its calls, and by it the waits for the rank that came last, shared out.

From when they were last together to their arrivals, a rank's time is compute, copies, other calls, and idleness by its
causes. The last rank's excess over a peer in each of these, as far as it has any, shares the peer's wait among them.
"""

from collections.abc import Mapping

import msgspec
import numpy as np
import numpy.typing as npt

from traceana.analyze.causes.lost import LostTime
from traceana.analyze.causes.parts import Parts, within
from traceana.analyze.causes.spent import Spent
from traceana.analyze.intervals import Intervals, covered
from traceana.analyze.overlap import Occupation
from traceana.report import LateBy
from traceana.trace.columns import Bools, Ints

Floats = npt.NDArray[np.float64]
COMPUTE, MEMORY, HOST_BEHIND, HELD, WAITING, WINDOW_LATE, UNEXPLAINED = range(len(LateBy.__struct_fields__))
_AT_ONCE = 1 << 20
"""Calls of all ranks that are compared at a time, which bounds the memory that it takes."""


class RankTimes(msgspec.Struct, frozen=True, kw_only=True):
    """What one rank's device did, by its own clock."""

    occupied: Occupation
    lost: LostTime
    spent: Spent


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """As much of it as ranks are compared by; `begun_ns` is when its first work began."""

    begun_ns: int
    compute: Intervals
    exposed: Intervals
    idle: Parts


class Waits(msgspec.Struct, frozen=True, kw_only=True):
    """What ranks are compared in, before each collective of a group.

    From `since_ns` to `arrived_ns` by each rank's own clock; `begun_ns` is the former by the common one, and `opening`
    says that it is when the recording began. `last` is the column of the rank that came last. Shapes (collectives,
    ranks) and (collectives,).
    """

    ranks: tuple[int, ...]
    devices: Mapping[int, Device]
    since_ns: Ints
    arrived_ns: Ints
    begun_ns: Ints
    wait_ns: Ints
    opening: Bools
    last: Ints


def device(one: RankTimes) -> Device:
    """What ranks are compared by."""
    busy = (one.occupied.compute, one.occupied.communication, one.occupied.memory)
    return Device(
        begun_ns=min(int(kind.start[0]) for kind in busy if len(kind.start)),
        compute=one.occupied.compute,
        exposed=one.lost.exposed,
        idle=one.lost.idle,
    )


def shared_out(waits: Waits) -> Floats:
    """Of each collective what all peers together waited, by the fields of LateBy: shape (collectives, fields)."""
    step = max(_AT_ONCE // len(waits.ranks), 1)
    blocks = [slice(at, at + step) for at in range(0, len(waits.last), step)]
    return np.concatenate(
        [_shared_out(waits.wait_ns[block], waits.last[block], _doings(waits, block)) for block in blocks]
    )


def _shared_out(wait: Ints, last: Ints, done: Ints) -> Floats:
    """`done` has shape (collectives, ranks, fields); the result adds up to the waits of each collective."""
    excess = np.maximum(np.take_along_axis(done, last[:, None, None], axis=1) - done, 0).astype(np.float64)
    whole = excess.sum(axis=2, keepdims=True)
    excess[:, :, UNEXPLAINED] += np.where(whole[:, :, 0] > 0, 0, 1)
    return np.asarray((excess / np.where(whole > 0, whole, 1) * wait[:, :, None]).sum(axis=1))


def _doings(waits: Waits, rows: slice) -> Ints:
    """ns of each rank in some collectives, by the fields of LateBy; where a rank began later counts as time, too."""
    since, arrived, begun = waits.since_ns[rows], waits.arrived_ns[rows], waits.begun_ns[rows]
    opening = waits.opening[rows]
    done = np.zeros((*since.shape, len(LateBy.__struct_fields__)), dtype=np.int64)
    for j, rank in enumerate(waits.ranks):
        done[:, j] = _of_rank(waits.devices[rank], since[:, j], arrived[:, j])
        done[:, j, WINDOW_LATE] += np.where(opening, begun[:, j], 0)
        done[:, j, HELD] += np.where(opening, 0, begun[:, j])
    return done


def _of_rank(one: Device, start: Ints, end: Ints) -> Ints:
    done = np.zeros((len(start), len(LateBy.__struct_fields__)), dtype=np.int64)
    host_behind, waiting, outside, unexplained = within(one.idle, start, end).T
    # Before its first work a device is idle for want of a launch, although no gap is there.
    before = np.clip(one.begun_ns - start, 0, end - start)
    done[:, COMPUTE] = covered(start, end, one.compute)
    done[:, HELD] = covered(start, end, one.exposed)
    done[:, HOST_BEHIND] = host_behind + before
    done[:, WAITING] = waiting
    done[:, UNEXPLAINED] = outside + unexplained
    done[:, MEMORY] = end - start - done.sum(axis=1)
    return done
