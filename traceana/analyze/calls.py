"""All calls of a run in one table: one row a rank's call, with its wait and transfer where it was matched."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from traceana.analyze.collectives import Collectives, Signature
from traceana.analyze.match import Matching
from traceana.analyze.steps import warm_up
from traceana.trace.columns import Bools, Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """Columns of equal length; `signature` indexes `signatures`; wait and transfer are 0 where not `matched`.

    `collective` numbers the matched collectives over the run, -1 elsewhere. `step` numbers the run's steps, -1 outside
    them and -2 before the first; `warm_up` are calls of the first step, the first of each kind, and their peers. `site`
    indexes `sites`, the innermost span or module that issued the call, or is -1.
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
    signatures: dict[Signature, int] = {}
    columns: list[list[Ints]] = [[] for _ in range(9)]
    numbers = _collective_numbers(ranks, matching)
    for rank, calls in sorted(ranks.items()):
        matched, wait, transfer = matching.per_rank(rank, len(calls))
        codes = [signatures.setdefault(signature, len(signatures)) for signature in calls.signatures]
        rows = (
            np.full(len(calls), rank, dtype=np.int64),
            calls.start_ns - matching.clocks.offset_ns.get(rank, 0),
            calls.end_ns - calls.start_ns,
            calls.exposed_ns,
            wait,
            transfer,
            matched.astype(np.int64),
            numbers[rank],
            np.array(codes, dtype=np.int64)[calls.signature],
        )
        for column, values in zip(columns, rows, strict=True):
            column.append(values)
    step = np.concatenate([steps[rank] for rank in sorted(ranks)])
    seq = np.concatenate([calls.seq for _, calls in sorted(ranks.items())])
    sites, site = _sites([calls for _, calls in sorted(ranks.items())])
    rank_, start, duration, exposed, wait_, transfer_, matched_, number, signature = map(np.concatenate, columns)
    return Calls(
        rank=rank_,
        start_ns=start,
        duration_ns=duration,
        exposed_ns=exposed,
        wait_ns=wait_,
        transfer_ns=transfer_,
        matched=matched_ == 1,
        collective=number,
        seq=seq,
        step=step,
        warm_up=warm_up(rank_, signature, number, step),
        signature=signature,
        signatures=tuple(signatures),
        site=site,
        sites=sites,
    )


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
