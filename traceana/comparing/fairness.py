"""Why two sides are not like for like, and why their times may mean nothing."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from traceana import units
from traceana.analyze.control_time import payload
from traceana.analyze.noise import TELLING
from traceana.comparing.side_calls import Key, SideCalls
from traceana.comparing.sides import Side, by_repeats
from traceana.report import RunReport


def reasons(baseline: Side, candidate: Side) -> list[str]:
    """Differences of set-up that a fair comparison would not have; the sides' first runs stand for them."""
    a, b = baseline.reports[0], candidate.reports[0]
    found = []
    if a.world_size != b.world_size:
        found.append(f"other world size: {a.world_size} ranks against {b.world_size}")
    if a.gpus != b.gpus:
        found.append(f"other GPU: {', '.join(a.gpus) or 'none'} against {', '.join(b.gpus) or 'none'}")
    theirs = dict(b.versions)
    for name, version in a.versions:
        if theirs.get(name, version) != version:
            found.append(f"other {name} version: {version} against {theirs[name]}")
    if text := copied(baseline, candidate):
        found.append(text)
    return found + [reason for side in (baseline, candidate) for run in side.reports for reason in _incomplete(run)]


def copied(baseline: Side, candidate: Side) -> str | None:
    """Repeats that are one recording, to the nanosecond: they would show that runs do not differ at all."""
    for side in (baseline, candidate):
        for a, b in combinations(side.runs, 2):
            both = zip((a.calls.start_ns, a.calls.duration_ns), (b.calls.start_ns, b.calls.duration_ns), strict=True)
            if len(a.calls) and all(np.array_equal(ours, theirs) for ours, theirs in both):
                return f"{b.report.label} is a copy of {a.report.label}, no repeat"
    return None


def _incomplete(run: RunReport) -> list[str]:
    found = []
    if run.missing_ranks:
        found.append(f"{run.label}: {len(run.missing_ranks)} of {run.world_size} ranks are missing")
    if run.coverage.truncated_files:
        found.append(f"{run.label}: {len(run.coverage.truncated_files)} traces end early")
    return found


def call_reasons(
    ours: Mapping[Key, SideCalls], theirs: Mapping[Key, SideCalls], unsized: Mapping[str, Sequence[str]]
) -> list[str]:
    """Differences of the calls; `unsized` are operations compared over all sizes, with their other names."""
    found = []
    if unsized:
        found.append(f"one side gives no message sizes: {', '.join(unsized)} compared over all calls, sizes mixed")
    if "send_recv" in unsized:
        found.append("send_recv holds all-to-alls too: NCCL runs both as one kernel, which the names cannot tell apart")
    a, b = _counts(ours, theirs, unsized), _counts(theirs, ours, unsized)
    for op in sorted(a.keys() | b.keys()):
        if a[op] != b[op]:
            found.append(f"other calls a rank: {a[op]:g} {op} against {b[op]:g}")
    return found


def _counts(
    calls: Mapping[Key, SideCalls], others: Mapping[Key, SideCalls], unsized: Mapping[str, Sequence[str]]
) -> dict[str, float]:
    """Calls of every operation on a mean rank of a run, without a kind that one side alone has and calls once.

    A communicator that tries itself out as it starts, as PyNccl's does, makes no other program.
    """
    merged = {name: op for op, names in unsized.items() for name in names}
    counts: dict[str, float] = defaultdict(float)
    for key, of_key in calls.items():
        if key in others or of_key.a_rank > 1:
            counts[merged.get(key.op, key.op)] += of_key.a_rank
    # Calls on some ranks alone make fractions, whose sums differ in the last digits.
    return defaultdict(float, {op: round(count, 3) for op, count in counts.items()})


def group_doubt(a: SideCalls, b: SideCalls) -> str | None:
    """Why calls of one size whose groups are not known to be equally large cannot be set against each other."""
    ours, theirs = a.group_sizes, b.group_sizes
    if None in ours | theirs:
        return mixture_doubt(a, b, "group sizes")
    groups = [units.number_ranges(size for size in sizes if size) for sizes in (ours, theirs)]
    return f"groups of {groups[0]} ranks against groups of {groups[1]}: other work"


def mixture_doubt(a: SideCalls, b: SideCalls, what: str) -> str | None:
    """Why calls of unknown sizes (`what`) cannot be set against each other; None where both sides seem to mix alike."""
    worlds = [side.reports[0].world_size for side in (a.side, b.side)]
    if worlds[0] != worlds[1]:
        return f"{what} are unknown, and {worlds[0]} ranks need not send what {worlds[1]} send"
    if abs(b.a_rank - a.a_rank) <= TELLING * a.a_rank:
        return None
    return f"{what} are unknown and mixed, and a rank makes {a.a_rank:g} calls against {b.a_rank:g}: other work"


def noise(baseline: Side, candidate: Side) -> list[str]:
    """All that makes times unsteady, named by run."""
    found = [f"{run.label}, {one.text}" for side in (baseline, candidate) for run in side.reports for one in run.noise]
    return found + [text for text in (_other_compute(baseline, candidate), _other_waits(baseline, candidate)) if text]


def doubt(baseline: Side, candidate: Side) -> str | None:
    """Why times that include compute or waiting cannot tell the sides apart; None where nothing is found.

    Repeats show how far a drift or a late rank changes from run to run, so these count against single runs only. No
    number of repeats cures copies, missing ranks, other compute, or a rank that is slow on one side alone.
    """
    lasting = (copied, _lacking_ranks, _other_compute, _one_sided)
    if text := next((text for why in lasting if (text := why(baseline, candidate))), None):
        return text
    if by_repeats(baseline, candidate):
        return None
    drifts = [(run, one) for side in (baseline, candidate) for run in side.reports for one in run.noise]
    drift = next((f"{run.label}, {one.text}" for run, one in drifts if one.kind == "drift"), None)
    return drift or _other_waits(baseline, candidate)


def transfer_doubt(baseline: Side, candidate: Side) -> str | None:
    """Why transfers cannot tell the sides apart: on a host alone the cores that compute also move the data."""
    reports = (*baseline.reports, *candidate.reports)
    if any(rank.source == "cpu" for run in reports for rank in run.ranks):
        return doubt(baseline, candidate)
    return copied(baseline, candidate)


def other_ranks(baseline: Side, candidate: Side) -> str | None:
    """Why a mean rank of one side is not that of the other."""
    worlds = [run.world_size for side in (baseline, candidate) for run in side.reports]
    if len(set(worlds)) > 1:
        return f"other world sizes: {units.number_ranges(worlds)} ranks"
    return _lacking_ranks(baseline, candidate)


def _lacking_ranks(baseline: Side, candidate: Side) -> str | None:
    """A step is as long as on its slowest rank, and who waits for whom differs from rank to rank."""
    runs = (*baseline.reports, *candidate.reports)
    if len({(run.world_size, run.missing_ranks) for run in runs}) == len({run.world_size for run in runs}):
        return None
    run = max(runs, key=lambda run: len(run.missing_ranks))
    return f"{run.label} lacks rank {units.number_ranges(run.missing_ranks)}, and another run has other ranks"


def _other_compute(baseline: Side, candidate: Side) -> str | None:
    (a, b), unit = (_compute_a_step(baseline), _compute_a_step(candidate)), "step"
    if not a or not b:
        (a, b), unit = (_compute_a_call(baseline), _compute_a_call(candidate)), "call"
    if not a or not b or abs(b / a - 1) <= TELLING:
        return None
    return (
        f"compute a {unit} takes {units.duration(a)} in {baseline.label} and {units.duration(b)} in {candidate.label}: "
        "another clock, temperature or work, not another backend"
    )


def _compute_a_step(side: Side) -> float:
    medians = [[step.compute_ns for step in run.steps if step.steady] for run in side.reports]
    return float(np.mean([np.median(values) for values in medians])) if all(medians) else 0.0


def _compute_a_call(side: Side) -> float:
    """On a host alone, where no steps are known: between its calls the same program computes as much. 0 elsewhere."""
    shares = [
        sum(rank.compute_ns for rank in run.ranks) / run.coverage.collectives
        for run in side.reports
        if run.coverage.collectives and all(rank.source == "cpu" for rank in run.ranks)
    ]
    return float(np.mean(shares)) if len(shares) == len(side.reports) else 0.0


def _one_sided(baseline: Side, candidate: Side) -> str | None:
    for side, other in ((baseline, candidate), (candidate, baseline)):
        alone = _mostly_slow(side) - _mostly_slow(other)
        if alone:
            ranks = ", ".join(map(str, sorted(alone)))
            return f"rank {ranks} computes slower than its peers in {side.label} alone: another clock or another load"
    return None


def _mostly_slow(side: Side) -> set[int]:
    """Ranks that are slower than their peers in more than half of the runs."""
    counts = Counter(one.rank for run in side.reports for one in run.noise if one.kind == "uneven")
    return {rank for rank, count in counts.items() if 2 * count > len(side.runs)}


def _other_waits(baseline: Side, candidate: Side) -> str | None:
    a, b = _wait_a_step(baseline), _wait_a_step(candidate)
    steps = [step.duration_ns for run in baseline.reports for step in run.steps if step.steady]
    if a is None or b is None or not steps or abs(a - b) <= TELLING * float(np.median(steps)):
        return None
    return (
        f"a rank waits {units.duration(a)} a step for its peers in {baseline.label} and {units.duration(b)} in "
        f"{candidate.label}: a late rank, not the transfers, sets the times"
    )


def _wait_a_step(side: Side) -> float | None:
    """Without control traffic, in which a scheduler waits for work."""
    if not side.steady_steps:
        return None
    waits = [
        int(run.calls.wait_ns[payload(run.calls) & ~run.calls.warm_up].sum()) / max(len(run.report.ranks), 1)
        for run in side.runs
    ]
    return sum(waits) / len(waits) / side.steady_steps
