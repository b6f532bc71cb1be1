"""What HolisticTraceAnalysis found."""

import msgspec


class HtaTable(msgspec.Struct, frozen=True, kw_only=True):
    """One table that HolisticTraceAnalysis made: cells are already text."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class HtaSection(msgspec.Struct, frozen=True, kw_only=True):
    """HolisticTraceAnalysis on one rank, or why it failed there."""

    rank: int
    version: str
    tables: tuple[HtaTable, ...]
    error: str | None
