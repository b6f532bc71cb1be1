"""Two ranks that call each backend here and check what comes back: what loads, and what each achieves."""

from traceana import units
from traceana.bench import launch
from traceana.bench.backends import chosen
from traceana.bench.plan import Message, Plan
from traceana.doctor.findings import Finding, ok, unknown
from traceana.report.bench import BenchReport, BenchRow

_RANKS = 2
_CALL = (Message(op="all_reduce", message_bytes=1 << 20),)
_SHORT_BENCH = tuple(
    Message(op=op, message_bytes=size) for op in ("all_reduce", "all_to_all") for size in (1 << 16, 1 << 20, 1 << 24)
)


def checked(*, full: bool) -> list[Finding]:
    """A call of each backend, or a short bench of them. Raises TraceanaError where a rank fails."""
    plan = Plan(
        messages=_SHORT_BENCH if full else _CALL,
        backends=chosen(None),
        dtype="float32",
        graphs=(False,),
        in_place=False,
        iterations=20 if full else 3,
        blocks=5 if full else 3,
        imbalance=2.0,
        under_compute=False,
        warm_cache=False,
        seed=0,
    )
    return findings(launch.run(plan, _RANKS))


def findings(report: BenchReport) -> list[Finding]:
    """A line a backend."""
    details = dict(report.backends)
    found = []
    for name, detail in details.items():
        rows = [row for row in report.rows if row.backend == name]
        said = "; ".join(map(_words, rows)) or "no operation of these"
        found.append(ok(f"backend {name}", f"{detail}: right results on {report.ranks} ranks. {said}"))
    missing = {(one.backend, one.reason) for one in report.not_measured if one.op is None}
    found += [unknown(f"backend {name}", reason) for name, reason in sorted(missing)]
    return found


def _words(row: BenchRow) -> str:
    at = f"{row.op} {units.size(row.message_bytes)}"
    return f"{at} {units.duration(row.p50_ns)}, busbw {units.bandwidth(row.busbw_gbps)}"
