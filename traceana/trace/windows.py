"""Which files of a folder belong together where a rank has several: windows of one run, each a run of its own.

Told by words that differ between the files of one rank (EXTEND and DECODE, step_10 and step_20), else by time: files of
one window begin, or were written, closer together than windows are apart.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from itertools import pairwise

import msgspec

from traceana.trace.file_names import stem, time_stamp, tokens
from traceana.trace.identify import Identity

# Windows of a profiler's schedule are steps apart; processes that export at one time are closer.
_LEAST_APART_NS = 1_000_000
# Words for parts of a run; others may also tell copies of one file apart, unless its times differ.
_PART = re.compile(
    r"(?:prefill|extend|decode|warm_?up|train|eval)"
    r"|(?:step|iter|iteration|epoch|window|cycle|stage|phase|round)[-_ ]*\d+",
    re.IGNORECASE,
)


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A file and the rank that it is of."""

    rank: int
    file: Identity


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """At most one file a rank; `name` is empty where there is one window only."""

    name: str
    claims: tuple[Claim, ...]


def windows(claims: Sequence[Claim]) -> list[Window] | None:
    """The windows in order, or None where nothing tells which files of the same rank belong together."""
    if _one_each(claims):
        return [Window(name="", claims=tuple(claims))]
    stages = _by_stage(claims)
    if stages is None:
        return _numbered("", _by_time(claims))
    found: list[Window] = []
    for name, members in stages.items():
        parts = [Window(name=name, claims=tuple(members))] if _one_each(members) else _numbered(name, _by_time(members))
        if parts is None:
            return None
        found += parts
    return found


def is_part_of_time(name: str) -> bool:
    """Whether a name is that of a step, an iteration, a phase: what follows another, not what runs beside it."""
    return _PART.fullmatch(name) is not None


def _one_each(claims: Sequence[Claim]) -> bool:
    return len({claim.rank for claim in claims}) == len(claims)


def _by_stage(claims: Sequence[Claim]) -> dict[str, list[Claim]] | None:
    """By the words that differ between files of one rank; None where these tell ranks apart instead (process ids)."""
    words: dict[int, list[frozenset[str]]] = defaultdict(list)
    for claim in claims:
        words[claim.rank].append(frozenset(tokens(stem(claim.file.path))))
    telling = {word for found in words.values() for names in found for other in found for word in names - other}
    stages: dict[str, list[Claim]] = defaultdict(list)
    for claim in claims:
        stages[" ".join(word for word in tokens(stem(claim.file.path)) if word in telling)].append(claim)
    tell_ranks = len(words) > 1 and all(len({claim.rank for claim in members}) == 1 for members in stages.values())
    copies = not all(map(is_part_of_time, telling)) and _begin_together(claims)
    return None if len(stages) == 1 or tell_ranks or copies else stages


def _begin_together(claims: Sequence[Claim]) -> bool:
    """Whether two files of one rank begin at the same time, or at one that is not known."""
    begins = {(claim.rank, claim.file.start_ns) for claim in claims}
    return len(begins) < len(claims) or any(start is None for _, start in begins)


def _by_time(claims: Sequence[Claim]) -> list[list[Claim]] | None:
    """By the times in the names, else by those of the first events."""
    times: tuple[Callable[[Claim], int | None], ...] = (
        lambda claim: time_stamp(stem(claim.file.path)),
        lambda claim: claim.file.start_ns,
    )
    for time in times:
        known = [(at, claim) for claim in claims if (at := time(claim)) is not None]
        found = _split(known) if len(known) == len(claims) else None
        if found is not None:
            return found
    return None


def _split(timed: Sequence[tuple[int, Claim]]) -> list[list[Claim]] | None:
    """At as many of the widest gaps as windows take; None where what is between them is no wider than a window."""
    most = max(Counter(claim.rank for _, claim in timed).values())
    ordered = sorted(timed, key=lambda one: (one[0], one[1].rank))
    gaps = sorted(range(1, len(ordered)), key=lambda at: ordered[at][0] - ordered[at - 1][0])[1 - most :]
    edges = [0, *sorted(gaps), len(ordered)]
    parts = [ordered[start:end] for start, end in pairwise(edges)]
    widest = max(part[-1][0] - part[0][0] for part in parts)
    apart = min(ordered[at][0] - ordered[at - 1][0] for at in gaps)
    members = [[claim for _, claim in part] for part in parts]
    return members if apart > max(widest, _LEAST_APART_NS) and all(_one_each(part) for part in members) else None


def _numbered(name: str, parts: Sequence[Sequence[Claim]] | None) -> list[Window] | None:
    if parts is None:
        return None
    return [
        Window(name=f"{name} window {number}".strip(), claims=tuple(part)) for number, part in enumerate(parts, start=1)
    ]
