"""What a recorded run can tell, and what its user may take for more than it is."""

from collections.abc import Iterable, Sequence

import numpy as np
from traceana_capture.agent.choices import CHOICES

from traceana import units
from traceana.analyze.guide import GUIDE
from traceana.doctor.findings import Finding, failure, ok, unknown, warning
from traceana.report import Operation, Report, RunReport

_SMALL = GUIDE[0].edge or 0
_MOSTLY_SMALL = 0.5
_FEW_RUNS = 3
_LONGER = 1.5
_CHANGES = ("NCCL_P2P_DISABLE", "NCCL_SHM_DISABLE", "NCCL_IB_DISABLE", "NCCL_ALGO", "NCCL_PROTO")


def checked(report: Report) -> list[Finding]:
    """A run's checks under its label, then those of all runs together."""
    found = [_named(run, one) for run in report.runs for one in of_run(run)]
    return [*found, _repeats(report.runs), _layouts(report.runs)]


def _named(run: RunReport, finding: Finding) -> Finding:
    return Finding(
        check=f"{run.label}: {finding.check}", level=finding.level, evidence=finding.evidence, advice=finding.advice
    )


def of_run(run: RunReport) -> list[Finding]:
    """Checks of one run."""
    return [
        _backend(run),
        _complete(run),
        _matched(run),
        _sizes(run),
        _warm_up(run),
        *_settings(run),
        _whole(run),
        _cost(),
    ]


def _backend(run: RunReport) -> Finding:
    check, setup = "backend", run.setup
    seen = ", ".join(run.backends_seen) or "no collective"
    if setup is None or not setup.backend_asked or setup.backend_asked == "asis":
        return ok(check, f"the calls' time went through {seen}; none was asked for")
    if setup.backend_mismatch:
        advice = "see docs/capture.md on adapters; the program may have another way that takes precedence"
        return failure(check, setup.backend_mismatch, advice)
    return ok(check, f"{setup.backend_asked} was asked for, and {_carried(run, setup.backend_asked)}")


def _carried(run: RunReport, asked: str) -> str:
    """How much of the payload went through the backend that was asked for, and where the rest went."""
    if not run.operations:
        return "the traces show no collective"
    title = CHOICES[asked].title if asked in CHOICES else asked
    mine = [one for one in run.operations if one.backend == title]
    time = units.percent(*(sum(one.duration_ns.sum for one in some) for some in (mine, run.operations)))
    rest = [name for name in run.backends_seen if name != title]
    said = f"{title} carried {time} of the calls' time{_of_bytes(mine, run.operations)}"
    return said + (f"; the rest: {', '.join(rest)}" if rest else "")


def _of_bytes(mine: Sequence[Operation], operations: Sequence[Operation]) -> str:
    """The share of the bytes that calls tell, and how many tell none, as CUDA IPC's signals; empty where none does."""
    part, whole = (sum((one.message_bytes or 0) * one.count for one in some) for some in (mine, operations))
    if not whole:
        return ""
    silent = sum(one.count for one in operations if one.message_bytes is None)
    beside = f" ({units.plural(silent, 'kernel')} without a size)" if silent else ""
    return f" and {units.percent(part, whole)} of the known bytes{beside}"


def _complete(run: RunReport) -> Finding:
    check, coverage = "recording", run.coverage
    gone = [f"ranks {units.number_ranges(run.missing_ranks)} are missing"] if run.missing_ranks else []
    gone += [f"{file.file} ends early" for file in coverage.truncated_files]
    gone += list(coverage.failed_files)
    gone += [f"{coverage.skipped_events} events are damaged"] if coverage.skipped_events else []
    if not coverage.collectives:
        advice = "record a window with calls in it: --warmup 1 --steps 3, or --duration"
        return failure(check, "; ".join([*gone, "no collective was recorded"]), advice)
    if gone:
        return warning(check, "; ".join(gone), "capture again; run.json says what became of each rank")
    return ok(check, f"{len(run.ranks)} of {run.world_size} ranks, {coverage.collectives} calls")


def _matched(run: RunReport) -> Finding:
    coverage = run.coverage
    check, seen = "waiting", f"{coverage.matched} of {coverage.collectives} calls were matched across ranks"
    if len(run.ranks) < 2 or not coverage.collectives:
        return unknown(check, "one rank's trace does not tell waiting from transfer", "record all ranks")
    if coverage.matched < coverage.collectives:
        return warning(check, seen, "in the others, waiting for a late rank counts as transfer: see the report's notes")
    return ok(check, seen)


def _sizes(run: RunReport) -> Finding:
    check = "message sizes"
    known = [(one.message_bytes, one.duration_ns.sum) for one in run.operations if one.message_bytes is not None]
    total = sum(time for _, time in known)
    if not total:
        return unknown(check, "no call tells its size", "capture with traceana, which notes the sizes of PyNccl too")
    share = sum(time for size, time in known if size < _SMALL) / total
    seen = f"{share:.0%} of the calls' time is in messages under {units.size(_SMALL)}"
    if share > _MOSTLY_SMALL:
        advice = "a backend matters little there; try a larger resolution, longer video, or fewer ranks"
        return warning(check, seen, advice)
    return ok(check, seen)


def _warm_up(run: RunReport) -> Finding:
    check = "warm-up"
    times = [step.duration_ns for step in run.steps]
    if len(times) < 3:
        advice = "record --warmup 1 --steps 3 at least"
        return unknown(
            check, f"{units.plural(len(times), 'step')} are known, too few to tell a first one apart", advice
        )
    rest = float(np.median(times[1:]))
    seen = f"first step {units.duration(times[0])}, the others {units.duration(rest)}"
    if times[0] > _LONGER * rest:
        return ok(check, f"{seen}: the first is left out of every comparison")
    return ok(check, seen)


def _settings(run: RunReport) -> Iterable[Finding]:
    if run.setup is None:
        return [unknown("NCCL settings", "no run.json: the trace does not tell them", "capture with traceana")]
    asked, inherited = dict(run.setup.nccl_set), dict(run.setup.environment)
    found = [
        warning("NCCL settings", f"{name}={inherited[name]} was inherited", f"unset {name} where it is not meant")
        for name in _CHANGES
        if name in inherited and name not in asked and inherited[name] not in ("", "0")
    ]
    for log in run.setup.nccl_logs:
        seen = dict(log.facts)
        found += [
            failure("NCCL settings", f"{name}={value} was asked for, NCCL saw {seen[name]}", "see NCCL's log")
            for name, value in asked.items()
            if name in seen and seen[name] != value
        ]
    words = ", ".join(f"{name}={value}" for name, value in asked.items()) or "none set, none inherited"
    return found or [ok("NCCL settings", words)]


def _whole(run: RunReport) -> Finding:
    check = "end to end"
    if run.perf_dumps or run.requests:
        return ok(check, "whole requests are known, not one operation alone")
    if run.steps:
        return ok(check, f"{units.plural(len(run.steps), 'step')} are known, not one operation alone")
    advice = "name what a step is with --step-on MODULE:FUNCTION: a faster call alone may save nothing"
    return warning(check, "neither steps nor requests are known: only calls can be compared", advice)


def _cost() -> Finding:
    advice = "time the command without capture too: `traceana sweep` does both"
    return unknown("profiler's cost", "a recorded run does not tell how long it takes unrecorded", advice)


def _repeats(runs: Sequence[RunReport]) -> Finding:
    sides = {run.side: sum(other.side == run.side for other in runs) for run in runs}
    few = {side: count for side, count in sides.items() if count < _FEW_RUNS}
    if few:
        named = ", ".join(f"{side} {count}" for side, count in few.items())
        return warning("repeats", f"runs a side: {named}", "capture with --repeat 3 or more: one run tells no spread")
    return ok("repeats", ", ".join(f"{side} {count}" for side, count in sides.items()))


def _layouts(runs: Sequence[RunReport]) -> Finding:
    worlds = sorted({run.world_size for run in runs})
    if len(worlds) > 1:
        return ok("layouts", f"{', '.join(map(str, worlds))} ranks")
    return warning("layouts", f"only {worlds[0]} ranks", "compare other numbers of ranks and layouts: `traceana sweep`")
