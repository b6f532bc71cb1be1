"""What a run's numbers stand on: what was read, what was lost, and what is to be known of it."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from traceana.analyze.absent import absent
from traceana.analyze.calls import Calls
from traceana.analyze.collectives import Collectives
from traceana.analyze.measure import RankResult
from traceana.plain import plain
from traceana.report import Coverage, TruncatedFile


def coverage(ranks: Mapping[int, RankResult], calls: Calls, notes: Sequence[str], failed: Sequence[str]) -> Coverage:
    """How much was read and matched. `notes` come before what the ranks say; `failed` are files with their reasons."""
    whole = [result.events for result in ranks.values() if not result.damage.cut_short]
    truncated = [
        TruncatedFile(
            file=plain(result.path.name),
            rank=rank,
            events=result.events,
            missing=f"{result.damage.cut_short}{_share_missing(result.events, whole)}",
        )
        for rank, result in sorted(ranks.items())
        if result.damage.cut_short
    ]
    return Coverage(
        collectives=len(calls),
        matched=int((calls.collective >= 0).sum()),
        without_size=_without_size(calls),
        truncated_files=tuple(truncated),
        skipped_events=sum(result.damage.skipped_events for result in ranks.values()),
        failed_files=tuple(failed),
        notes=(*notes, *_notes(ranks)),
    )


def _without_size(calls: Calls) -> int:
    """Calls that move data of unknown size; a barrier moves none."""
    unknown = [
        code
        for code, signature in enumerate(calls.signatures)
        if signature.op != "barrier" and (signature.message_bytes is None or signature.message_bytes < 0)
    ]
    return int(calls.of_kinds(unknown).sum())


def _share_missing(events: int, whole: Sequence[int]) -> str:
    if not whole or not events:
        return ""
    share = 1 - events / float(np.median(whole))
    return f"; by the other ranks' number of events about {share:.0%} of it is missing" if share > 0 else ""


def _notes(ranks: Mapping[int, RankResult]) -> list[str]:
    repaired = sum(result.damage.repaired_events for result in ranks.values())
    notes = [f"{repaired} damaged events were repaired and kept"] if repaired else []
    notes += [
        f"{plain(one.path.name)} holds more than one trace, as when two ranks export to one path: the first was read"
        for one in ranks.values()
        if one.damage.other_traces
    ]
    notes += [f"{plain(one.path.name)}: {note}" for _, one in sorted(ranks.items()) for note in one.damage.notes]
    notes += [note for _, result in sorted(ranks.items()) for note in result.notes]
    bases = {result.header.base_time_ns for result in ranks.values()}
    if len(bases) > 1 and None in bases:
        notes.append("some files give no baseTimeNanoseconds: their clocks are known only through collectives")
    return [*notes, *_left_out(list(ranks.values())), *absent(ranks)]


def _left_out(ranks: Sequence[RankResult]) -> list[str]:
    """What happened beside the devices that the numbers are of."""
    notes = []
    beside = Counter(op for rank in ranks if rank.host_calls for op in _ops(rank.host_calls))
    if beside:
        named = ", ".join(f"{count} {op}" for op, count in sorted(beside.items()))
        notes.append(f"calls on the host beside the GPU's (gloo) are listed apart and in no other number: {named}")
    foreign = sorted({category for rank in ranks for category in rank.foreign})
    if foreign:
        notes.append(
            f"events of a device that is not known here are left out ({', '.join(foreign)}): what it computed and sent "
            "is not in these numbers"
        )
    return notes


def _ops(calls: Collectives) -> list[str]:
    return [calls.signatures[code].op for code in calls.signature.tolist()]
