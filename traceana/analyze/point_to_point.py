"""Sends and receives: paired by who sends to whom, in order, and never with collectives.

A receiver waits for its own sender, and a sender for its receiver. A kernel of `batch_isend_irecv` has several peers:
all calls that hang together are one exchange, in which each waits for the last of its own peers.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from traceana.analyze.align import SLACK_NS, CallSequence, align
from traceana.analyze.clocks import ClockOffsets
from traceana.analyze.collectives import Collectives, Signature
from traceana.analyze.groups import Group
from traceana.analyze.matched import MatchedCalls
from traceana.trace.columns import Bools, Ints

_Stream = tuple[int, int]
"""Who sends, and to whom."""


class _Calls(msgspec.Struct, frozen=True, kw_only=True):
    """All calls of all ranks in one column each, on the common clock."""

    rank: Ints
    index: Ints
    start_ns: Ints
    end_ns: Ints
    first: Mapping[int, int]


def exchanges(
    ranks: Mapping[int, Collectives], groups: Sequence[Group], clocks: ClockOffsets
) -> tuple[list[MatchedCalls], list[str]]:
    """Match the point-to-point calls of `groups`, and say how many have no peer."""
    if not groups:
        return [], []
    calls = _calls(ranks, clocks)
    edges = [_edges(ranks, group, clocks, calls) for group in groups]
    pairs = np.concatenate([np.zeros((0, 2), dtype=np.int64), *edges])
    found = _groups(calls, pairs)
    total = sum(len(index) for group in groups for index in group.calls.values())
    lost = total - sum(group.calls.size for group in found)
    notes = [
        f"{lost} of {total} point-to-point calls are not matched: who their peer is, or its call, is not known here"
    ]
    return found, notes if lost else []


def _calls(ranks: Mapping[int, Collectives], clocks: ClockOffsets) -> _Calls:
    ordered = sorted(ranks.items())
    counts = [len(calls) for _, calls in ordered]
    first = dict(zip((rank for rank, _ in ordered), np.cumsum([0, *counts])[:-1].tolist(), strict=True))
    return _Calls(
        rank=np.repeat([rank for rank, _ in ordered], counts),
        index=np.concatenate([np.arange(count) for count in counts]),
        start_ns=np.concatenate([clocks.common(rank, calls.start_ns) for rank, calls in ordered]),
        end_ns=np.concatenate([clocks.common(rank, calls.end_ns) for rank, calls in ordered]),
        first=first,
    )


def _edges(ranks: Mapping[int, Collectives], group: Group, clocks: ClockOffsets, calls: _Calls) -> Ints:
    """Pairs of calls, a sender's and its receiver's."""
    sent, received = _streams(ranks, group)
    found = [np.zeros((0, 2), dtype=np.int64)]
    for stream in sorted(sent.keys() & received.keys()):
        if clocks.comparable(stream):
            ours, theirs = sent[stream] + calls.first[stream[0]], received[stream] + calls.first[stream[1]]
            pairs = align(_sequence(calls, ours), _sequence(calls, theirs), 0)
            left, right = ours[pairs.left], theirs[pairs.right]
            # A send may be over before its receiver comes; a receive is not over before its sender comes.
            possible = calls.end_ns[right] + SLACK_NS >= calls.start_ns[left]
            found.append(np.stack([left[possible], right[possible]], axis=1))
    return np.concatenate(found)


def _sequence(calls: _Calls, index: Ints) -> CallSequence:
    nothing = np.full(len(index), -1, dtype=np.int64)
    return CallSequence(
        start_ns=calls.start_ns[index],
        end_ns=calls.end_ns[index],
        # c10d counts a rank's sends and receives together, so that a pair's numbers need not agree.
        seq=nothing,
        code=nothing,
        joint=np.zeros(len(index), dtype=np.bool_),
    )


def _streams(ranks: Mapping[int, Collectives], group: Group) -> tuple[dict[_Stream, Ints], dict[_Stream, Ints]]:
    """For each pair of ranks the calls that send, and the calls that receive."""
    sent: dict[_Stream, list[Ints]] = defaultdict(list)
    received: dict[_Stream, list[Ints]] = defaultdict(list)
    for rank, index in group.calls.items():
        calls = ranks[rank]
        for code in np.unique(calls.signature[index]).tolist():
            signature = calls.signatures[code]
            mine = index[calls.signature[index] == code]
            for peer in _peers(signature.sends_to, rank, signature):
                sent[rank, peer].append(mine)
            for peer in _peers(signature.receives_from, rank, signature):
                received[peer, rank].append(mine)
    return _in_order(sent), _in_order(received)


def _in_order(streams: Mapping[_Stream, Sequence[Ints]]) -> dict[_Stream, Ints]:
    return {stream: np.sort(np.concatenate(parts)) for stream, parts in streams.items()}


def _peers(named: tuple[int, ...] | None, rank: int, signature: Signature) -> tuple[int, ...]:
    """The ranks at the other end: those named, or in a group of two the other one."""
    if named:
        return named
    members = signature.group or ()
    return tuple(one for one in members if one != rank) if named is not None and len(members) == 2 else ()


def _groups(calls: _Calls, pairs: Ints) -> list[MatchedCalls]:
    """Calls that hang together, by the ranks that they are of; what would hold two calls of one rank is left out."""
    of_call = _components(pairs, len(calls.rank))
    last = calls.start_ns.copy()
    np.maximum.at(last, pairs[:, 0], calls.start_ns[pairs[:, 1]])
    np.maximum.at(last, pairs[:, 1], calls.start_ns[pairs[:, 0]])
    members = np.unique(pairs)
    order = members[np.lexsort((calls.rank[members], of_call[members]))]
    _, begin, many = np.unique(of_call[order], return_index=True, return_counts=True)
    found = []
    for size in np.unique(many).tolist():
        rows = order[begin[many == size][:, None] + np.arange(size)]
        whole = (np.diff(calls.rank[rows], axis=1) > 0).all(axis=1)
        found += _by_ranks(calls, rows[whole], last)
    return found


def _by_ranks(calls: _Calls, rows: Ints, last: Ints) -> list[MatchedCalls]:
    if not len(rows):
        return []
    sets, which = np.unique(calls.rank[rows], axis=0, return_inverse=True)
    return [
        MatchedCalls(ranks=tuple(members.tolist()), calls=calls.index[mine], last_ns=last[mine])
        for number, members in enumerate(sets)
        for mine in (rows[which.ravel() == number],)
    ]


def _components(pairs: Ints, many: int) -> Ints:
    """For each call the lowest call that it hangs together with."""
    label = np.arange(many, dtype=np.int64)
    changed: Bools | bool = True
    while changed:
        before = label.copy()
        low = np.minimum(label[pairs[:, 0]], label[pairs[:, 1]])
        np.minimum.at(label, pairs[:, 0], low)
        np.minimum.at(label, pairs[:, 1], low)
        label = label[label]
        changed = bool((before != label).any())
    return label
