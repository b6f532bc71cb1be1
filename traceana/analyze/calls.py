"""All calls of a run in one table: one row a rank's call, with its wait and transfer where it was matched."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from traceana.analyze.collectives import Collectives, Signature
from traceana.analyze.matched import Matching
from traceana.analyze.steps import warm_up
from traceana.trace.columns import Bools, Ints, ModuleName

_Name = TypeVar("_Name", str, ModuleName)
_IN_PARTS = ("all_gather", "reduce_scatter")


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """Columns of equal length; `signature` indexes `signatures`; wait and transfer are 0 where not `matched`.

    `collective` numbers the collectives whose calls were found on all ranks, -1 elsewhere; those whose clocks could not
    be compared are not `matched`. `step` numbers the run's steps, -1 outside them and -2 before the first; `warm_up`
    are calls of the first step, the first of each kind, and their peers. `site` indexes `sites`, the innermost span or
    module that issued the call, and `module` indexes `modules`; or they are -1.
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
    of_rank = np.repeat([rank for rank, _ in ordered], [len(calls) for _, calls in ordered])
    start = np.concatenate([matching.clocks.common(rank, calls.start_ns) for rank, calls in ordered])
    found = _found(ordered, matching)
    signature, signatures = _with_whole_messages(*_signatures(ordered), found.collective)
    step = np.concatenate([steps[rank] for rank, _ in ordered])
    sites, site = _joint([(calls.sites, calls.site) for _, calls in ordered])
    modules, module = _joint([(calls.modules, calls.module) for _, calls in ordered])
    return Calls(
        rank=of_rank,
        start_ns=start,
        duration_ns=np.concatenate([calls.end_ns - calls.start_ns for _, calls in ordered]),
        exposed_ns=np.concatenate([calls.exposed_ns for _, calls in ordered]),
        slowed_ns=np.zeros(len(of_rank), dtype=np.int64),
        wait_ns=found.wait_ns,
        transfer_ns=found.transfer_ns,
        matched=found.compared,
        collective=found.collective,
        seq=np.concatenate([calls.seq for _, calls in ordered]),
        step=step,
        warm_up=warm_up(of_rank, _kinds(signatures)[signature], found.collective, step),
        signature=signature,
        signatures=signatures,
        site=site,
        sites=sites,
        module=module,
        modules=modules,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What matching says of each call, in one column each."""

    collective: Ints
    wait_ns: Ints
    transfer_ns: Ints
    compared: Bools


def _found(ordered: Sequence[tuple[int, Collectives]], matching: Matching) -> _Found:
    ends = np.cumsum([0, *(len(calls) for _, calls in ordered)])
    first = {rank: int(begin) for (rank, _), begin in zip(ordered, ends, strict=False)}
    wait, transfer = np.zeros(ends[-1], dtype=np.int64), np.zeros(ends[-1], dtype=np.int64)
    collective, compared = np.full(ends[-1], -1, dtype=np.int64), np.zeros(ends[-1], dtype=np.bool_)
    number = 0
    for group in matching.groups:
        rows = group.calls + np.array([first[rank] for rank in group.ranks])
        wait[rows], transfer[rows], compared[rows] = group.wait_ns, group.transfer_ns, group.compared
        collective[rows] = number + np.arange(len(rows))[:, None]
        number += len(rows)
    return _Found(collective=collective, wait_ns=wait, transfer_ns=transfer, compared=compared)


def _signatures(ordered: Sequence[tuple[int, Collectives]]) -> tuple[Ints, tuple[Signature, ...]]:
    """The ranks' signatures under one numbering."""
    codes: dict[Signature, int] = {}
    columns = [
        np.array([codes.setdefault(one, len(codes)) for one in calls.signatures], dtype=np.int64)[calls.signature]
        for _, calls in ordered
    ]
    return np.concatenate(columns), tuple(codes)


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
    found: Ints = signature.copy()
    for index in np.flatnonzero(sizes != whole).tolist():
        told = replace(signatures[signature[rows[index]]], message_bytes=int(whole[index]))
        found[rows[index]] = codes.setdefault(told, len(codes))
    used, found = np.unique(found, return_inverse=True)
    return found, tuple(list(codes)[code] for code in used.tolist())


def _joint(ranks: Sequence[tuple[tuple[_Name, ...], Ints]]) -> tuple[tuple[_Name, ...], Ints]:
    """The ranks' names and what points at them under one numbering."""
    codes: dict[_Name, int] = {}
    columns = []
    for names, index in ranks:
        # The last entry is what -1 points at.
        mine = [codes.setdefault(name, len(codes)) for name in names] + [-1]
        columns.append(np.array(mine, dtype=np.int64)[index])
    return tuple(codes), np.concatenate(columns)
