"""Which place in the program issued which calls, the runs side by side."""

from statistics import median

import msgspec

from traceana.render.page.basis import common_basis
from traceana.render.page.marks import RunMark, runs_by_side
from traceana.render.page.section import Section
from traceana.report import CallSite, Report, RunReport


class SiteCell(msgspec.Struct, frozen=True, kw_only=True):
    """One side's calls of a row; times in ns, on a mean rank of a mean run but for the median."""

    count: int
    p50_ns: float | None
    """None where the calls are of several sizes, whose medians make no common one."""
    exposed_ns: float


class SiteRow(msgspec.Struct, frozen=True, kw_only=True):
    """One site, operation and size; `cells` has an entry a side, None where it has no such call.

    `basis` says what the medians are of: `transfer` where every side knows it, else `duration`. There is no
    speed-up here: the comparison has it, of steady calls.
    """

    site: str | None
    op: str
    message_bytes: int | None
    basis: str
    cells: tuple[SiteCell | None, ...]


class SiteTable(msgspec.Struct, frozen=True, kw_only=True):
    """A group of columns a side; rows by their exposed time. `basis` is that of all medians, None where rows differ."""

    sides: tuple[RunMark, ...]
    rows: tuple[SiteRow, ...]
    basis: str | None


_Key = tuple[str | None, str, int | None]


def site_table(report: Report) -> SiteTable:
    """All call sites of all sides."""
    runs = runs_by_side(report)
    unsized = {(site.site, site.op) for run in report.runs for site in run.call_sites if site.message_bytes is None}
    ranks = [max(1, sum(len(run.ranks) for run in of_side)) for of_side in runs.values()]
    sides = [_by_key(of_side, unsized) for of_side in runs.values()]
    rows = [
        _row(key, [found.get(key, []) for found in sides], ranks)
        for key in dict.fromkeys(key for found in sides for key in found)
    ]
    rows.sort(key=lambda row: -sum(cell.exposed_ns for cell in row.cells if cell))
    return SiteTable(sides=tuple(runs), rows=tuple(rows), basis=common_basis(row.basis for row in rows))


def _key(site: CallSite, unsized: set[tuple[str | None, str]]) -> _Key:
    """Where a side does not know sizes, all sizes make one row, as in the comparison.

    An all-to-all without metadata is one of NCCL's SendRecv kernels, like any point-to-point call.
    """
    op = "send_recv" if site.op == "all_to_all" and (site.site, "send_recv") in unsized else site.op
    return site.site, op, None if (site.site, op) in unsized else site.message_bytes


def _by_key(runs: list[RunReport], unsized: set[tuple[str | None, str]]) -> dict[_Key, list[CallSite]]:
    found: dict[_Key, list[CallSite]] = {}
    for run in runs:
        for site in run.call_sites:
            found.setdefault(_key(site, unsized), []).append(site)
    return found


def _row(key: _Key, sides: list[list[CallSite]], ranks: list[int]) -> SiteRow:
    """`ranks` has the number of ranks of each side's runs together."""
    basis = "transfer" if all(site.transfer_p50_ns is not None for sites in sides for site in sites) else "duration"
    cells = [_cell(sites, basis, count) if sites else None for sites, count in zip(sides, ranks, strict=True)]
    return SiteRow(site=key[0], op=key[1], message_bytes=key[2], basis=basis, cells=tuple(cells))


def _cell(sites: list[CallSite], basis: str, ranks: int) -> SiteCell:
    times = [site.p50_ns if basis == "duration" else site.transfer_p50_ns or 0 for site in sites]
    of_one_size = len({site.message_bytes for site in sites}) == 1
    return SiteCell(
        count=sum(site.count for site in sites),
        p50_ns=median(times) if of_one_size else None,
        exposed_ns=sum(site.exposed_ns for site in sites) / ranks,
    )


SECTION = Section(name="sites", title="Call sites", view=site_table)
