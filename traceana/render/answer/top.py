"""The operations with most exposed time, and the places in the program that issue them."""

from collections.abc import Sequence

import msgspec

from traceana.analyze.control import Key, control, key
from traceana.render.page.layer_names import layer_name
from traceana.report import CallSite, Comparison, ComparisonRow, RunReport

MOST_ROWS = 5


class TopRow(msgspec.Struct, frozen=True, kw_only=True):
    """An operation at one size: its exposed time in ns on a mean rank, one entry a side.

    Of a comparison that is a step's (`Comparison.worth_per`) and steady, of one run the window's. `site` issues most of
    it, None where it is not known; `other_sites` issue the rest. `share` is of all exposed time in calls of one run,
    None in a comparison, whose `row` it is.
    """

    op: str
    message_bytes: int | None
    exposed_ns: tuple[float, ...]
    site: str | None
    other_sites: int
    share: float | None = None
    row: ComparisonRow | None = None


def top_of_comparison(comparison: Comparison, runs: Sequence[RunReport]) -> tuple[TopRow, ...]:
    """Rows of a comparison, those with most exposed time on either side first; `runs` tell who issues them."""
    rows = sorted(
        comparison.rows, key=lambda row: (row.control, -max(row.baseline_exposed_ns, row.candidate_exposed_ns))
    )
    return tuple(_of_row(row, runs) for row in rows[:MOST_ROWS] if row.baseline_exposed_ns or row.candidate_exposed_ns)


def _of_row(row: ComparisonRow, runs: Sequence[RunReport]) -> TopRow:
    site, others = _issuers(runs, row.op, row.message_bytes)
    return TopRow(
        op=row.op,
        message_bytes=row.message_bytes,
        exposed_ns=(row.baseline_exposed_ns, row.candidate_exposed_ns),
        site=site,
        other_sites=others,
        row=row,
    )


def top_of_run(run: RunReport) -> tuple[TopRow, ...]:
    """Operations of a run, those with most exposed time first, control traffic last; none where compute covers all."""
    sums: dict[Key, int] = {}
    for operation in run.operations:
        sums[key(operation)] = sums.get(key(operation), 0) + operation.exposed_ns
    behind = control(run.operations)
    whole, payload = sum(sums.values()), sum(ns for one, ns in sums.items() if one not in behind)
    first = sorted(sums, key=lambda one: (one in behind, -sums[one]))[:MOST_ROWS]
    return tuple(_of_key(run, one, sums[one], whole if one in behind else payload) for one in first if sums[one])


def _of_key(run: RunReport, one: Key, exposed_ns: int, whole_ns: int) -> TopRow:
    op, message_bytes, _ = one
    site, others = _issuers([run], op, message_bytes)
    return TopRow(
        op=op,
        message_bytes=message_bytes,
        exposed_ns=(exposed_ns / max(1, len(run.ranks)),),
        site=site,
        other_sites=others,
        share=exposed_ns / whole_ns,
    )


def _issuers(runs: Sequence[RunReport], op: str, message_bytes: int | None) -> tuple[str | None, int]:
    """The layers with most exposed time in calls of that kind, or where none is known the site."""
    exposed: dict[str, int] = {}
    for operation in (operation for run in runs for operation in run.operations):
        if operation.op == op and message_bytes in (None, operation.message_bytes):
            for layer in operation.layers:
                exposed[layer_name(layer)] = exposed.get(layer_name(layer), 0) + layer.exposed_ns
    names = sorted(exposed, key=lambda name: -exposed[name])
    return (names[0], len(names) - 1) if names else _sites(runs, op, message_bytes)


def _sites(runs: Sequence[RunReport], op: str, message_bytes: int | None) -> tuple[str | None, int]:
    """The site with most exposed time in calls of that kind, and how many others there are."""
    exposed: dict[str, int] = {}
    for site in (site for run in runs for site in run.call_sites if _is_of(site, op, message_bytes)):
        exposed[site.site or ""] = exposed.get(site.site or "", 0) + site.exposed_ns
    known = [name for name in sorted(exposed, key=lambda name: -exposed[name]) if name]
    return (known[0], len(known) - 1) if known else (None, 0)


def _is_of(site: CallSite, op: str, message_bytes: int | None) -> bool:
    return site.op == op and (message_bytes is None or site.message_bytes == message_bytes)
