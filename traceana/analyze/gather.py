"""From each rank's calls, and what matching says of them, to the one table of a run's calls."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TypeVar

import msgspec
import numpy as np
from msgspec.structs import replace

from traceana.analyze.calls import Calls
from traceana.analyze.clocks import ClockOffsets
from traceana.analyze.collectives import Collectives, Signature
from traceana.analyze.matched import Matching
from traceana.analyze.steps import Executions, step_of_calls, warm_up
from traceana.trace.columns import Bools, Ints, ModuleName
from traceana.trace.narrow import Column, narrow

_Name = TypeVar("_Name", str, ModuleName, Signature)
_IN_PARTS = ("all_gather", "reduce_scatter")


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
        slowed_ns=Column(ends[-1]).values,
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


class _Found(msgspec.Struct, frozen=True, kw_only=True):
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


class _Own(msgspec.Struct, frozen=True, kw_only=True):
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
        signature=Column(many, least=1),
        signatures={},
        site=Column(many, least=1),
        sites={},
        module=Column(many, least=1),
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
    return narrow(np.array([kinds.setdefault(key, len(kinds)) for key in keys], dtype=np.int64))


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
