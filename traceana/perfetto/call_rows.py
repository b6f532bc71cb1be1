"""The collectives of a run as rows a rank: when, waiting for whom, and the arrows between ranks.

An arrow runs from the rank that came last, at its arrival, to each rank that waited for it, where its wait ends.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec
import numpy as np

from traceana.analyze.collectives import Collectives, Signature
from traceana.analyze.matched import MatchedGroup, Matching
from traceana.trace.columns import Ints


class CallRows(msgspec.Struct, frozen=True, kw_only=True):
    """One rank's calls in order of start; times are ns on the merged clock, wait and transfer 0 where not matched.

    `number` is the collective's in its run and `last_rank` who came last, -1 where not matched. `sent` and `received`
    are rows of (call, arrow): arrows leave at the start of a call and arrive at the end of its wait.
    """

    start_ns: Ints
    end_ns: Ints
    wait_ns: Ints
    transfer_ns: Ints
    exposed_ns: Ints
    number: Ints
    last_rank: Ints
    sent: Ints
    received: Ints
    signature: Ints
    signatures: tuple[Signature, ...]

    def __len__(self) -> int:
        return len(self.start_ns)


@dataclass(slots=True, kw_only=True)
class _Links:
    """What one rank's calls have to do with the other ranks' while that is collected."""

    wait_ns: Ints
    transfer_ns: Ints
    number: Ints
    last_rank: Ints
    sent: list[Ints] = field(default_factory=lambda: [np.zeros((0, 2), dtype=np.int64)])
    received: list[Ints] = field(default_factory=lambda: [np.zeros((0, 2), dtype=np.int64)])


def call_rows(ranks: Mapping[int, Collectives], matching: Matching, origin_ns: int, run: int) -> dict[int, CallRows]:
    """Rows of every rank; `origin_ns` is zero on the merged clock, `run` keeps arrows of several runs apart."""
    links = _link(ranks, matching, run << 44)
    return {rank: _rows(calls, matching, rank, links[rank], origin_ns) for rank, calls in ranks.items()}


def _link(ranks: Mapping[int, Collectives], matching: Matching, arrow: int) -> dict[int, _Links]:
    links = {
        rank: _Links(
            wait_ns=np.zeros(len(calls), dtype=np.int64),
            transfer_ns=np.zeros(len(calls), dtype=np.int64),
            number=np.full(len(calls), -1, dtype=np.int64),
            last_rank=np.full(len(calls), -1, dtype=np.int64),
        )
        for rank, calls in ranks.items()
    }
    number = 0
    for group in matching.groups:
        _link_group(links, group, number, arrow)
        number += len(group.calls)
        arrow += group.calls.size
    return links


def _link_group(links: dict[int, _Links], group: MatchedGroup, number: int, arrow: int) -> None:
    last = group.start_ns.argmax(axis=1)
    waits = group.wait_ns > 0
    last_rank = np.array(group.ranks, dtype=np.int64)[last] if group.compared else np.full(len(last), -1)
    arrows = arrow + np.arange(group.calls.size, dtype=np.int64).reshape(group.calls.shape)
    for column, rank in enumerate(group.ranks):
        mine, calls = links[rank], group.calls[:, column]
        mine.wait_ns[calls], mine.transfer_ns[calls] = group.wait_ns[:, column], group.transfer_ns[:, column]
        mine.number[calls] = number + np.arange(len(calls))
        mine.last_rank[calls] = last_rank
        came_last = np.flatnonzero(last == column)
        row, peer = np.nonzero(waits[came_last])
        mine.sent.append(np.stack([calls[came_last[row]], arrows[came_last[row], peer]], axis=1))
        waited = waits[:, column]
        mine.received.append(np.stack([calls[waited], arrows[waited, column]], axis=1))


def _rows(calls: Collectives, matching: Matching, rank: int, links: _Links, origin_ns: int) -> CallRows:
    shift = origin_ns + matching.clocks.offset_ns.get(rank, 0)
    return CallRows(
        start_ns=calls.start_ns - shift,
        end_ns=calls.end_ns - shift,
        wait_ns=links.wait_ns,
        transfer_ns=links.transfer_ns,
        exposed_ns=calls.exposed_ns,
        number=links.number,
        last_rank=links.last_rank,
        sent=np.concatenate(links.sent),
        received=np.concatenate(links.received),
        signature=calls.signature,
        signatures=calls.signatures,
    )
