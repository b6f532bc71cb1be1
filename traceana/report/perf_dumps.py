"""sglang's perf dumps."""

import msgspec


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """A stage of a request: all its entries of one name added up, as sglang's `compare_perf.py` does."""

    name: str
    duration_ns: int
    count: int


class MemoryCheckpoint(msgspec.Struct, frozen=True, kw_only=True):
    """What the allocator held when a stage ended, in bytes; None where the dump does not say."""

    name: str
    allocated_bytes: int | None
    reserved_bytes: int | None
    peak_allocated_bytes: int | None
    peak_reserved_bytes: int | None


class PerfDump(msgspec.Struct, frozen=True, kw_only=True):
    """One request as sglang's `--perf-dump-path` tells it: host-side times, in the order of the file."""

    file: str
    request_id: str | None
    commit: str | None
    tag: str | None
    timestamp: str | None
    total_ns: int
    stages: tuple[Stage, ...]
    denoise_steps_ns: tuple[int, ...]
    memory: tuple[MemoryCheckpoint, ...]
    meta: tuple[tuple[str, str], ...]
    """Pairs such as ("model", "Wan2.1")."""
    slowed: str | None = None
    """Why these are times of a program that capture slowed; None where nothing says so."""
