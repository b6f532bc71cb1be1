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
    p50_ns: float
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
    sides = [_cells([run for run in report.runs if run.side == side]) for side in marks]
    keys = dict.fromkeys(key for cells in sides for key in cells)
    rows = [_row(key, [cells.get(key) for cells in sides]) for key in keys]
    rows.sort(key=lambda row: -sum(cell.exposed_ns for cell in row.cells if cell))
    return SiteTable(sides=tuple(marks.values()), rows=tuple(rows))


def _cells(runs: list[RunReport]) -> dict[_Key, SiteCell]:
    found: dict[_Key, list[CallSite]] = {}
    for run in runs:
        for site in run.call_sites:
            found.setdefault((site.site, site.op, site.message_bytes), []).append(site)
    ranks = max(1, sum(len(run.ranks) for run in runs))
    return {key: _cell(sites, ranks) for key, sites in found.items()}


def _cell(sites: Iterable[CallSite], ranks: int) -> SiteCell:
    sites = list(sites)
    transfers = [site.transfer_p50_ns for site in sites if site.transfer_p50_ns is not None]
    times = transfers if len(transfers) == len(sites) else [site.p50_ns for site in sites]
    return SiteCell(
        count=sum(site.count for site in sites),
        p50_ns=median(times),
        exposed_ns=sum(site.exposed_ns for site in sites) / ranks,
    )


def _row(key: _Key, cells: list[SiteCell | None]) -> SiteRow:
    ratio = None
    if len(cells) == 2 and cells[0] and cells[1] and cells[1].p50_ns:
        ratio = cells[0].p50_ns / cells[1].p50_ns
    return SiteRow(site=key[0], op=key[1], message_bytes=key[2], cells=tuple(cells), ratio=ratio)
