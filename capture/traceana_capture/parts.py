"""The parts of a run that several launchers started, joined into one, and what is to be said of them."""

import datetime
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from traceana_capture.runfile import Backend, FoundRun, Rank, Texts

NEVER_APPEARED = "never appeared"
NO_PART = "no part of its node is here; collect that node's files too, or see what its launcher said"
Value = TypeVar("Value")
# A file from elsewhere may state any number.
_MOST_RANKS = 1 << 14
# Clocks of hosts may be apart by less.
_APART = datetime.timedelta(minutes=1)


def join(parts: Sequence[FoundRun]) -> FoundRun:
    """One run of all its parts; what they should have in common is that of the lowest rank's part."""
    if len(parts) < 2 and not any(part.node for part in parts):
        return parts[0] if parts else FoundRun()
    ordered = _ordered(parts)
    first, codes = ordered[0], [part.exit_code for part in ordered if part.exit_code is not None]
    return replace(
        first,
        started=min((part.started for part in ordered if part.started), default=None),
        ended=max((part.ended for part in ordered if part.ended), default=None),
        exit_code=next((code for code in codes if code), codes[0] if codes else None),
        world_size=max(part.world_size for part in ordered),
        backend=_backend([part.backend for part in ordered]),
        versions=_united(part.versions for part in ordered),
        environment=_united(part.environment for part in ordered),
        nccl=replace(first.nccl, ranks=tuple(log for part in ordered for log in part.nccl.ranks)),
        ranks=_ranks(ordered),
        faults=tuple(dict.fromkeys(fault for part in ordered for fault in part.faults)),
    )


def notes(parts: Sequence[FoundRun]) -> tuple[str, ...]:
    """What a reader has to know of parts that were joined: what is missing, and what they do not agree in."""
    ordered = _ordered(parts)
    return (*_missing(ordered), *_strangers(ordered), *_failures(ordered), *_differences(ordered))


def _ordered(parts: Iterable[FoundRun]) -> list[FoundRun]:
    return sorted(parts, key=lambda part: (min((rank.rank for rank in part.ranks), default=_MOST_RANKS), _name(part)))


def _name(part: FoundRun) -> str:
    return part.node or part.host or "a node"


def _backend(parts: Sequence[Backend]) -> Backend:
    return replace(
        parts[0],
        adapter=next((part.adapter for part in parts if part.adapter), None),
        seen=tuple(sorted({name for part in parts for name in part.seen})),
        mismatch=next((part.mismatch for part in parts if part.mismatch), None),
        pairs=sum(part.pairs for part in parts),
    )


def _united(parts: Iterable[Mapping[str, Value]]) -> dict[str, Value]:
    together: dict[str, Value] = {}
    for part in parts:
        together = {**part, **together}
    return together


def _ranks(parts: Sequence[FoundRun]) -> tuple[Rank, ...]:
    """Of a rank that several tell of, the one that left a trace, else the one that knows why not."""
    told: dict[int, Rank] = {}
    for rank in (rank for part in parts for rank in part.ranks):
        if rank.rank not in told or _knows(rank) > _knows(told[rank.rank]):
            told[rank.rank] = rank
    if any(part.node for part in parts):
        for number in range(min(_MOST_RANKS, max(part.world_size for part in parts))):
            told.setdefault(number, _absent(number))
    return tuple(told[number] for number in sorted(told))


def _knows(rank: Rank) -> tuple[bool, bool]:
    return rank.outcome == "complete", rank.reason != NEVER_APPEARED


def _absent(rank: int) -> Rank:
    return Rank(rank=rank, pid=None, host=None, outcome="missing", reason=NO_PART, file=None, bytes=0)


def _missing(parts: Sequence[FoundRun]) -> list[str]:
    expected = max((part.launchers or 0 for part in parts), default=0)
    if len(parts) >= expected:
        return []
    return [f"{len(parts)} of {expected} nodes left a part of run.json: {', '.join(map(_name, parts))}"]


def _strangers(parts: Sequence[FoundRun]) -> list[str]:
    """Parts that did not run together, by what their launchers noted, or by their hosts' clocks."""
    advice = "put each run into a folder of its own"
    launches = _by_value((part, part.launch) for part in parts if part.launch is not None)
    if len(launches) > 1:
        return [f"the parts are of different runs ({_each(launches)}): {advice}"]
    begun = [(at, part) for part in parts if (at := _time(part.started)) is not None]
    ended = [(at, part) for part in parts if (at := _time(part.ended)) is not None]
    last, first = max(begun, key=lambda one: one[0], default=None), min(ended, key=lambda one: one[0], default=None)
    if last is not None and first is not None and last[0] > first[0] + _APART:
        return [f"the part of {_name(last[1])} began after that of {_name(first[1])} had ended: {advice}"]
    shared = defaultdict(list)
    for part in parts:
        for rank in part.ranks:
            if rank.pid is not None:
                shared[rank.rank].append(_name(part))
    doubled = [f"rank {rank} ran on {' and on '.join(names)}: {advice}" for rank, names in shared.items() if names[1:]]
    return doubled[:1]


def _time(text: str | None) -> datetime.datetime | None:
    try:
        time = datetime.datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return time if time.tzinfo is not None else None


def _failures(parts: Sequence[FoundRun]) -> list[str]:
    if len(parts) < 2:
        return []
    return [f"the command ended with exit code {part.exit_code} on {_name(part)}" for part in parts if part.exit_code]


def _differences(parts: Sequence[FoundRun]) -> list[str]:
    """Settings and versions that all nodes should share, and do not."""
    found = []
    tables: tuple[tuple[str, Sequence[Mapping[str, object]]], ...] = (
        ("the window's", [_asked_for(part.window) for part in parts]),
        ("the version of", [part.versions for part in parts]),
        ("NCCL's setting", [part.nccl.set for part in parts]),
        ("the variable", [_of_nccl(part.environment) for part in parts]),
    )
    for what, of_parts in tables:
        for name in sorted({name for table in of_parts for name in table}):
            values = _by_value((part, table.get(name)) for part, table in zip(parts, of_parts, strict=True) if table)
            if len(values) > 1:
                found.append(f"nodes differ in {what} {name}: {_each(values)}")
    return found


def _asked_for(window: Texts) -> Texts:
    """Without when it opened, which is each node's own."""
    return {name: value for name, value in window.items() if name != "opened"}


def _of_nccl(environment: Texts) -> Texts:
    return {name: value for name, value in environment.items() if "NCCL_" in name}


def _by_value(values: Iterable[tuple[FoundRun, object]]) -> dict[object, list[str]]:
    names: dict[object, list[str]] = defaultdict(list)
    for part, value in values:
        names["nothing" if value is None else value].append(_name(part))
    return names


def _each(values: Mapping[object, Sequence[str]]) -> str:
    return "; ".join(f"{value} on {', '.join(names)}" for value, names in values.items())
