"""What HolisticTraceAnalysis found."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class HtaTable:
    """One table that HolisticTraceAnalysis made: cells are already text."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HtaSection:
    """HolisticTraceAnalysis on one rank, or why it failed there."""

    rank: int
    version: str
    tables: tuple[HtaTable, ...]
    error: str | None
