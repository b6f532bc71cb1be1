"""Which place in the program issued which calls, the runs side by side."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from traceana.render.runs import RunMark, side_marks
from traceana.report import CallSite, Report, RunReport


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteCell:
    """One side's calls of a row; times in ns, on a mean rank of a mean run but for the median."""

    count: int
    p50_ns: float | None
    """None where the calls are of several sizes, whose medians make no common one."""
    exposed_ns: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteRow:
    """One site, operation and size; `cells` has an entry a side, None where it has no such call.

    `ratio` is the first side's median over the second's, where there are two sides.
    """

    site: str | None
    op: str
    message_bytes: int | None
    cells: tuple[SiteCell | None, ...]
    ratio: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteTable:
    """A group of columns a side; rows by their exposed time."""

    sides: tuple[RunMark, ...]
    rows: tuple[SiteRow, ...]


_Key = tuple[str | None, str, int | None]


def site_table(report: Report) -> SiteTable:
    """All call sites of all sides; medians are of transfer where every run of a side knows it, else of duration."""
    marks = side_marks(report)
    unsized = {(site.site, site.op) for run in report.runs for site in run.call_sites if site.message_bytes is None}
    sides = [_cells([run for run in report.runs if run.side == side], unsized) for side in marks]
    keys = dict.fromkeys(key for cells in sides for key in cells)
    rows = [_row(key, [cells.get(key) for cells in sides]) for key in keys]
    rows.sort(key=lambda row: -sum(cell.exposed_ns for cell in row.cells if cell))
    return SiteTable(sides=tuple(marks.values()), rows=tuple(rows))


def _key(site: CallSite, unsized: set[tuple[str | None, str]]) -> _Key:
    """Where a side does not know sizes, all sizes make one row, as in the comparison.

    An all-to-all without metadata is one of NCCL's SendRecv kernels, like any point-to-point call.
    """
    op = "send_recv" if site.op == "all_to_all" and (site.site, "send_recv") in unsized else site.op
    return site.site, op, None if (site.site, op) in unsized else site.message_bytes


def _cells(runs: list[RunReport], unsized: set[tuple[str | None, str]]) -> dict[_Key, SiteCell]:
    found: dict[_Key, list[CallSite]] = {}
    for run in runs:
        for site in run.call_sites:
            found.setdefault(_key(site, unsized), []).append(site)
    ranks = max(1, sum(len(run.ranks) for run in runs))
    return {key: _cell(sites, ranks) for key, sites in found.items()}


def _cell(sites: Iterable[CallSite], ranks: int) -> SiteCell:
    sites = list(sites)
    transfers = [site.transfer_p50_ns for site in sites if site.transfer_p50_ns is not None]
    times = transfers if len(transfers) == len(sites) else [site.p50_ns for site in sites]
    of_one_size = len({site.message_bytes for site in sites}) == 1
    return SiteCell(
        count=sum(site.count for site in sites),
        p50_ns=median(times) if of_one_size else None,
        exposed_ns=sum(site.exposed_ns for site in sites) / ranks,
    )


def _row(key: _Key, cells: list[SiteCell | None]) -> SiteRow:
    times = [cell.p50_ns if cell else None for cell in cells]
    ratio = times[0] / times[1] if len(times) == 2 and times[0] and times[1] else None
    return SiteRow(site=key[0], op=key[1], message_bytes=key[2], cells=tuple(cells), ratio=ratio)
