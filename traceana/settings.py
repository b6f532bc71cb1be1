"""How to analyze."""

import msgspec

from traceana.analyze.guide import EDGES
from traceana.kernels import KernelPattern
from traceana.report.bench import BenchReport


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """`baseline` is a run's label, `edges` are bucket edges in bytes.

    `workers` 0 means one a core; `engine`, such as dask:tcp://host:8786, measures instead of them. `cache` keeps what
    was measured beside the run, and takes it from there. Calls are laid beside the `benches`.
    """

    baseline: str | None = None
    workers: int = 0
    engine: str | None = None
    cache: bool = False
    edges: tuple[int, ...] = EDGES
    own_patterns: tuple[KernelPattern, ...] = ()
    hta: bool = False
    benches: tuple[BenchReport, ...] = ()
