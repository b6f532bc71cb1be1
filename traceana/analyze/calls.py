"""All calls of a run in one table: one row a rank's call, with its wait and transfer where it was matched."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TypeVar

import numpy as np

from traceana.analyze.clocks import ClockOffsets
from traceana.analyze.collectives import Collectives, Signature
from traceana.analyze.matched import Matching
from traceana.analyze.narrow import Column
from traceana.analyze.steps import Executions, step_of_calls, warm_up
from traceana.trace.columns import Bools, Ints, ModuleName

_Name = TypeVar("_Name", str, ModuleName, Signature)
_AT_ONCE = 1 << 22
"""Rows that are looked at together, which bounds the memory that it takes."""
_IN_PARTS = ("all_gather", "reduce_scatter")


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """Columns of equal length in order of rank, integers as wide as their values need.

    `signature` indexes `signatures`; wait and transfer are 0 where not `matched`. `collective` numbers the
    collectives whose calls were found on all ranks, -1 elsewhere; those whose clocks could not be compared are not
    `matched`. `step` numbers the run's steps, -1 outside them and -2 before the first; `warm_up` are calls of the
    first step, the first of each kind, and their peers. `site` indexes `sites`, the innermost span or module that
    issued the call, and `module` indexes `modules`; or they are -1.
    """

    rank: Ints
    start_ns: Ints
    duration_ns: Ints
    exposed_ns: Ints
    slowed_ns: Ints
    """By how much longer compute took because the call ran beside it; 0 where the run's price is not certain."""
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
    module: Ints
    modules: tuple[ModuleName, ...]

    def __len__(self) -> int:
        return len(self.rank)

    def where(self, *, op: str | None = None) -> Bools:
        """Rows whose operation is `op`."""
        chosen = [op is None or signature.op == op for signature in self.signatures]
        return np.array(chosen, dtype=np.bool_)[self.signature]

    def longest_transfers(self, rows: Bools) -> tuple[Ints, Ints]:
        """For each matched collective of `rows` the index of its first call and the longest transfer of its ranks."""
        chosen = rows & self.matched
        many = int(self.collective.max(initial=-1)) + 1
        first, longest = np.full(many, len(self), dtype=np.int64), np.full(many, -1, dtype=np.int64)
        for begin in range(0, len(self), _AT_ONCE):
            part = begin + np.flatnonzero(chosen[begin : begin + _AT_ONCE])
            of = self.collective[part]
            np.minimum.at(first, of, part)
            np.maximum.at(longest, of, self.transfer_ns[part].astype(np.int64))
        found = np.flatnonzero(first < len(self))
        return first[found], longest[found]

    @property
    def rows_of_ranks(self) -> dict[int, slice]:
        """Where the calls of each rank are."""
        edges = np.flatnonzero(np.diff(self.rank, prepend=self.rank[:1] - 1, append=self.rank[-1:] + 1))
        return {int(self.rank[begin]): slice(begin, end) for begin, end in pairwise(edges.tolist())}

    def rows_of_kinds(self) -> Iterator[tuple[int, Ints]]:
        """Each used signature with the rows of its calls, in order."""
        order = np.argsort(self.signature, kind="stable")
        ends = np.cumsum(np.bincount(self.signature, minlength=len(self.signatures))).tolist()
        for code, (begin, end) in enumerate(pairwise([0, *ends])):
            if end > begin:
                yield code, order[begin:end]

    def of_kinds(self, codes: Sequence[int]) -> Bools:
        """Rows whose signature is one of some."""
        chosen = np.zeros(len(self.signatures), dtype=np.bool_)
        chosen[list(codes)] = True
        return chosen[self.signature]

    @property
    def sizes(self) -> Ints:
        """Message bytes a row, -1 where the size is not known."""
        return self.sizes_of(slice(None))

    def sizes_of(self, rows: Ints | Bools | slice) -> Ints:
        """The same of some rows."""
        sizes = [-1 if s.message_bytes is None else s.message_bytes for s in self.signatures]
        return np.array(sizes, dtype=np.int64)[self.signature[rows]]

    @property
    def cost_ns(self) -> Ints:
        """What a backend is ranked by: transfer where matched, else the whole duration."""
        return self.cost_of(slice(None))

    def cost_of(self, rows: Ints | Bools | slice) -> Ints:
        """The same of some rows."""
        return np.where(self.matched[rows], self.transfer_ns[rows], self.duration_ns[rows])


def gather(ranks: Mapping[int, Collectives], matching: Matching, steps: Executions) -> Calls:
    """Put the ranks' calls one below the other, in rank order; `steps` are the run's."""
    ordered = sorted(ranks)
    counts = [len(ranks[rank]) for rank in ordered]
    ends = np.cumsum([0, *counts]).tolist()
    rows = {rank: slice(*bounds) for rank, bounds in zip(ordered, pairwise(ends), strict=True)}
    found = _found(rows, ends[-1], matching)
    own = _own(ranks, rows, ends[-1], matching.clocks, steps)
    signature, signatures = _with_whole_messages(own.signature.values, tuple(own.signatures), found.collective)
    step = own.step.values
    return Calls(
        rank=own.rank.values,
        start_ns=own.start_ns,
        duration_ns=own.duration_ns.values,
        exposed_ns=own.exposed_ns.values,
        slowed_ns=np.zeros(ends[-1], dtype=np.int64),
        wait_ns=found.wait_ns,
        transfer_ns=found.transfer_ns,
        matched=found.compared,
        collective=found.collective,
        seq=own.seq.values,
        step=step,
        warm_up=warm_up(list(rows.values()), _kinds(signatures)[signature], found.collective, step),
        signature=signature,
        signatures=signatures,
        site=own.site.values,
        sites=tuple(own.sites),
        module=own.module.values,
        modules=tuple(own.modules),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What matching says of each call, in one column each."""

    collective: Ints
    wait_ns: Ints
    transfer_ns: Ints
    compared: Bools


def _found(rows: Mapping[int, slice], many: int, matching: Matching) -> _Found:
    wait, transfer, collective = Column(many, least=4), Column(many, least=4), Column(many, -1, least=4)
    compared = np.zeros(many, dtype=np.bool_)
    number = 0
    for group in matching.groups:
        numbers = number + np.arange(len(group.calls))
        for column, rank in enumerate(group.ranks):
            places = group.calls[:, column].astype(np.int64) + rows[rank].start
            wait.put(places, group.wait_ns[:, column])
            transfer.put(places, group.transfer_ns[:, column])
            collective.put(places, numbers)
            compared[places] = group.compared
        number += len(group.calls)
    return _Found(collective=collective.values, wait_ns=wait.values, transfer_ns=transfer.values, compared=compared)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Own:
    """What ranks say of their calls, in one column each; names are under one numbering."""

    rank: Column
    start_ns: Ints
    duration_ns: Column
    exposed_ns: Column
    seq: Column
    step: Column
    signature: Column
    signatures: dict[Signature, int]
    site: Column
    sites: dict[str, int]
    module: Column
    modules: dict[ModuleName, int]


def _own(
    ranks: Mapping[int, Collectives], rows: Mapping[int, slice], many: int, clocks: ClockOffsets, steps: Executions
) -> _Own:
    own = _Own(
        rank=Column(many),
        start_ns=np.empty(many, dtype=np.int64),
        duration_ns=Column(many, least=4),
        exposed_ns=Column(many, least=4),
        seq=Column(many),
        step=Column(many),
        signature=Column(many),
        signatures={},
        site=Column(many),
        sites={},
        module=Column(many),
        modules={},
    )
    for rank, mine in rows.items():
        calls = ranks[rank]
        own.rank.put(mine, np.full(len(calls), rank))
        own.start_ns[mine] = clocks.common(rank, calls.start_ns)
        own.duration_ns.put(mine, calls.end_ns - calls.start_ns)
        own.exposed_ns.put(mine, calls.exposed_ns)
        own.seq.put(mine, calls.seq)
        own.step.put(mine, step_of_calls(calls, steps, rank))
        own.signature.put(mine, _renumbered(calls.signatures, calls.signature, own.signatures))
        own.site.put(mine, _renumbered(calls.sites, calls.site, own.sites))
        own.module.put(mine, _renumbered(calls.modules, calls.module, own.modules))
    return own


def _renumbered(names: Sequence[_Name], index: Ints, codes: dict[_Name, int]) -> Ints:
    """What points at a rank's own names, under the numbering of all ranks' `codes`, which grows."""
    # The last entry is what -1 points at.
    mine = [codes.setdefault(name, len(codes)) for name in names] + [-1]
    return np.array(mine, dtype=np.int64)[index]


def _kinds(signatures: Iterable[Signature]) -> Ints:
    """Equal numbers for calls of one kind; where splits are told, sizes change from call to call and are no kinds."""
    kinds: dict[object, int] = {}
    keys = [(s.op, s.dtype, s.group, s.backend, None if s.sent_by_rank else s.message_bytes) for s in signatures]
    return np.array([kinds.setdefault(key, len(kinds)) for key in keys], dtype=np.int64)


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
    unlike = np.flatnonzero(sizes != whole)
    new = [
        codes.setdefault(replace(signatures[code], message_bytes=size), len(codes))
        for code, size in zip(signature[rows[unlike]].tolist(), whole[unlike].tolist(), strict=True)
    ]
    found = signature.astype(np.int32) if new else signature.copy()
    found[rows[unlike]] = new
    used = np.flatnonzero(np.bincount(found, minlength=len(codes)))
    place = np.zeros(len(codes), dtype=found.dtype)
    place[used] = np.arange(len(used))
    return place[found], tuple(list(codes)[code] for code in used.tolist())
