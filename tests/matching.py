"""Ranks' calls made up in memory, for matching without files: what each rank did on its own clock."""

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from msgspec.structs import replace

from traceana.analyze.collectives import C10D, Collectives, Signature

US = 1_000


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """One call of one rank, in ns of the rank's own clock."""

    start: int
    end: int
    signature: Signature
    seq: int = -1


def signature(
    op: str = "all_reduce",
    group: tuple[int, ...] | None = (0, 1),
    *,
    name: str | None = "0",
    size: int | None = 1 << 20,
) -> Signature:
    """A call's metadata as c10d gives it."""
    return Signature(
        op=op,
        dtype="BFloat16",
        message_bytes=size,
        group_size=len(group) if group else None,
        group=group,
        group_name=name if group else None,
        backend=C10D,
        library="nccl",
    )


def send(source: int, destination: int, group: tuple[int, ...]) -> Signature:
    """The sender's side of a point-to-point call."""
    return replace(signature("send_recv", group), sends_to=(destination,))


def receive(source: int, destination: int, group: tuple[int, ...]) -> Signature:
    """The receiver's side."""
    return replace(signature("send_recv", group), receives_from=(source,))


def collectives(calls: Sequence[Made]) -> Collectives:
    """One rank's calls as they come out of its trace."""
    ordered = sorted(calls, key=lambda call: call.start)
    codes: dict[Signature, int] = {}
    return Collectives(
        start_ns=np.array([call.start for call in ordered], dtype=np.int64),
        end_ns=np.array([call.end for call in ordered], dtype=np.int64),
        exposed_ns=np.zeros(len(ordered), dtype=np.int64),
        seq=np.array([call.seq for call in ordered], dtype=np.int64),
        signature=np.array([codes.setdefault(call.signature, len(codes)) for call in ordered], dtype=np.int64),
        signatures=tuple(codes),
        site=np.full(len(ordered), -1, dtype=np.int64),
        sites=(),
        module=np.full(len(ordered), -1, dtype=np.int64),
        modules=(),
    )


class Clocked(msgspec.Struct, frozen=True, kw_only=True):
    """Ranks' clocks: by host how far ahead it is and how much faster it runs."""

    host_of: Mapping[int, str]
    ahead_ns: Mapping[str, int]
    rate: Mapping[str, float]

    def read(self, rank: int, true_ns: int) -> int:
        """What the rank's clock shows."""
        host = self.host_of[rank]
        return true_ns + self.ahead_ns[host] + round(true_ns * self.rate.get(host, 0.0))


def joint_run(
    clocked: Clocked, groups: Sequence[tuple[int, ...]], calls: int, *, jitter_ns: float, seed: int
) -> dict[int, Collectives]:
    """All_reduces of each group in turn; ranks arrive scattered and leave together but for the jitter."""
    random = np.random.default_rng(seed)
    made: dict[int, list[Made]] = {rank: [] for rank in clocked.host_of}
    now = 0
    for number in range(calls):
        for index, group in enumerate(groups):
            arrivals = now + random.integers(0, 200 * US, len(group))
            left = int(arrivals.max()) + 50 * US
            for rank, arrival in zip(group, arrivals.tolist(), strict=True):
                end = left + round(abs(float(random.normal(0, jitter_ns))))
                made[rank].append(
                    Made(
                        start=clocked.read(rank, arrival),
                        end=clocked.read(rank, end),
                        signature=signature(group=group, name=str(index)),
                        seq=number,
                    )
                )
            now = left + int(random.integers(100 * US, 400 * US))
    return {rank: collectives(mine) for rank, mine in made.items()}
