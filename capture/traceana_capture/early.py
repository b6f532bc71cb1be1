"""Windows that ended before what they were to record was over, in words with a remedy; read of run.json's ranks."""

import re
from collections.abc import Iterable, Sequence

from traceana_capture.runfile import Rank

# A window's reason -> what to ask for instead.
REMEDIES = {
    "--max-collectives were recorded": "ask for more with --max-collectives",
    "the process had grown by --max-memory": "ask for more with --max-memory, or for fewer seconds or steps",
    "the program started its own profiler": "leave the program's own profiler out to record the rest",
}
DURATION = "the duration was over"
_STEPS = re.compile(r"\d{1,9} of --steps \d{1,9}")


def early(ranks: Iterable[Rank]) -> dict[str, list[int]]:
    """By what is to be said the ranks of which it is true; how long the windows were is that of the shortest."""
    by_reason: dict[tuple[str, str], list[Rank]] = {}
    for rank in ranks:
        remedy = _remedy(rank) if rank.outcome == "complete" else None
        if remedy is not None:
            by_reason.setdefault((_reason(rank), remedy), []).append(rank)
    return {_said(reason, remedy, found): [one.rank for one in found] for (reason, remedy), found in by_reason.items()}


def _remedy(rank: Rank) -> str | None:
    known = REMEDIES.get(rank.reason)
    if known is not None or not _STEPS.fullmatch(rank.still_to_come):
        return known
    return "ask for more with --duration" if rank.reason == DURATION else "ask for fewer steps"


def _reason(rank: Rank) -> str:
    """Only in words that are known: run.json may be a stranger's."""
    cause = rank.reason if rank.reason in (*REMEDIES, DURATION) else "the program or its process group ended"
    return f"{cause}, with {rank.still_to_come} recorded" if _STEPS.fullmatch(rank.still_to_come) else cause


def _said(reason: str, remedy: str, ranks: Sequence[Rank]) -> str:
    times = [rank.lasted_s for rank in ranks if rank.lasted_s is not None]
    after = f" after {min(times):.1f} s" if times else ""
    return f"the window closed early{after}, because {reason}; {remedy}"
