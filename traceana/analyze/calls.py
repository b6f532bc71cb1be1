"""All calls of a run in one table: one row a rank's call, with its wait and transfer where it was matched."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from traceana.analyze.collectives import Collectives, Signature
from traceana.analyze.matched import Matching
from traceana.analyze.steps import warm_up
from traceana.trace.columns import Bools, Ints

_IN_PARTS = ("all_gather", "reduce_scatter")


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """Columns of equal length; `signature` indexes `signatures`; wait and transfer are 0 where not `matched`.

    `collective` numbers the collectives whose calls were found on all ranks, -1 elsewhere; those whose clocks could not
    be compared are not `matched`. `step` numbers the run's steps, -1 outside them and -2 before the first; `warm_up`
    are calls of the first step, the first of each kind, and their peers. `site` indexes `sites`, the innermost span or
    module that issued the call, or is -1.
    """

    rank: Ints
    start_ns: Ints
    duration_ns: Ints
    exposed_ns: Ints
    wait_ns: Ints
    transfer_ns: Ints
    matched: Bools
    collective: Ints
    seq: Ints
    step: Ints
    warm_up: Bools
    signature: Ints
    signatures: tuple[Signature, ...]
    site: Ints
    sites: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.rank)

    def where(self, *, op: str | None = None) -> Bools:
        """Rows whose operation is `op`."""
        chosen = [op is None or signature.op == op for signature in self.signatures]
        return np.array(chosen, dtype=np.bool_)[self.signature]

    def longest_transfers(self, rows: Bools) -> tuple[Ints, Ints]:
        """For each matched collective of `rows` the index of its first call and the longest transfer of its ranks."""
        chosen = np.flatnonzero(rows & self.matched)
        chosen = chosen[np.argsort(self.collective[chosen], kind="stable")]
        first = np.flatnonzero(np.diff(self.collective[chosen], prepend=-1))
        return chosen[first], np.maximum.reduceat(self.transfer_ns[chosen], first)

    @property
    def sizes(self) -> Ints:
        """Message bytes a row, -1 where the size is not known."""
        sizes = [-1 if s.message_bytes is None else s.message_bytes for s in self.signatures]
        return np.array(sizes, dtype=np.int64)[self.signature]

    @property
    def cost_ns(self) -> Ints:
        """What a backend is ranked by: transfer where matched, else the whole duration."""
        return np.where(self.matched, self.transfer_ns, self.duration_ns)


def gather(ranks: Mapping[int, Collectives], matching: Matching, steps: Mapping[int, Ints]) -> Calls:
    """Put the ranks' calls one below the other, in rank order; `steps` gives each call's step by rank."""
    ordered = sorted(ranks.items())
    numbers = _collective_numbers(ranks, matching)
    split = {rank: matching.per_rank(rank, len(calls)) for rank, calls in ordered}
    signatures: dict[Signature, int] = {}
    compared = _compared(matching)
    codes = {rank: [signatures.setdefault(s, len(signatures)) for s in calls.signatures] for rank, calls in ordered}

    def stacked(column: Callable[[int, Collectives], Ints]) -> Ints:
        return np.concatenate([column(rank, calls) for rank, calls in ordered])

    of_rank = stacked(lambda rank, calls: np.full(len(calls), rank, dtype=np.int64))
    signature = stacked(lambda rank, calls: np.array(codes[rank], dtype=np.int64)[calls.signature])
    collective, step = stacked(lambda rank, _: numbers[rank]), stacked(lambda rank, _: steps[rank])
    sites, site = _sites([calls for _, calls in ordered])
    signature, known = _with_whole_messages(signature, tuple(signatures), collective)
    return Calls(
        rank=of_rank,
        start_ns=stacked(lambda rank, calls: matching.clocks.common(rank, calls.start_ns)),
        duration_ns=stacked(lambda _, calls: calls.end_ns - calls.start_ns),
        exposed_ns=stacked(lambda _, calls: calls.exposed_ns),
        wait_ns=stacked(lambda rank, _: split[rank][0]),
        transfer_ns=stacked(lambda rank, _: split[rank][1]),
        matched=(collective >= 0) & compared[collective],
        collective=collective,
        seq=stacked(lambda _, calls: calls.seq),
        step=step,
        warm_up=warm_up(of_rank, _kinds(known)[signature], collective, step),
        signature=signature,
        signatures=known,
        site=site,
        sites=sites,
    )


def _kinds(signatures: Iterable[Signature]) -> Ints:
    """Equal numbers for calls of one kind; where splits are told, sizes change from call to call and are no kinds."""
    kinds: dict[object, int] = {}
    keys = [(s.op, s.dtype, s.group, s.backend, None if s.sent_by_rank else s.message_bytes) for s in signatures]
    return np.array([kinds.setdefault(key, len(kinds)) for key in keys], dtype=np.int64)


def _compared(matching: Matching) -> Bools:
    """By collective whether its ranks' clocks could be compared; the last entry is what -1 points at."""
    return np.array([group.compared for group in matching.groups for _ in range(len(group.calls))] + [False])


def _with_whole_messages(
    signature: Ints, signatures: tuple[Signature, ...], collective: Ints
) -> tuple[Ints, tuple[Signature, ...]]:
    """Both columns, in which ranks that gather or scatter unlike parts know the whole message.

    c10d takes all parts to be as long as the rank's own, so a rank alone has n times its part, and the whole is the
    mean of these.
    """
    in_parts = [s.op in _IN_PARTS and s.message_bytes is not None for s in signatures]
    rows = np.flatnonzero(np.array(in_parts, dtype=np.bool_)[signature] & (collective >= 0))
    _, which, count = np.unique(collective[rows], return_inverse=True, return_counts=True)
    sizes = np.array([s.message_bytes or 0 for s in signatures], dtype=np.int64)[signature[rows]]
    sums = np.zeros(len(count), dtype=np.int64)
    np.add.at(sums, which, sizes)
    whole = (sums // count)[which]
    codes = {signature: code for code, signature in enumerate(signatures)}
    found: Ints = signature.copy()
    for index in np.flatnonzero(sizes != whole).tolist():
        told = replace(signatures[signature[rows[index]]], message_bytes=int(whole[index]))
        found[rows[index]] = codes.setdefault(told, len(codes))
    used, found = np.unique(found, return_inverse=True)
    return found, tuple(list(codes)[code] for code in used.tolist())


def _sites(ranks: Sequence[Collectives]) -> tuple[tuple[str, ...], Ints]:
    """The ranks' sites under one numbering."""
    codes: dict[str, int] = {}
    columns = []
    for calls in ranks:
        # The last entry is what -1 points at.
        mine = [codes.setdefault(name, len(codes)) for name in calls.sites] + [-1]
        columns.append(np.array(mine, dtype=np.int64)[calls.site])
    return tuple(codes), np.concatenate(columns)


def _collective_numbers(ranks: Mapping[int, Collectives], matching: Matching) -> dict[int, Ints]:
    numbers = {rank: np.full(len(calls), -1, dtype=np.int64) for rank, calls in ranks.items()}
    first = 0
    for group in matching.groups:
        for column, rank in enumerate(group.ranks):
            numbers[rank][group.calls[:, column]] = first + np.arange(len(group.calls))
        first += len(group.calls)
    return numbers
