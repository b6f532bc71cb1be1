"""One run."""

import msgspec

from traceana.report.beside_bench import BesideBench
from traceana.report.coverage import Coverage, Noise
from traceana.report.hta import HtaSection
from traceana.report.late import LateRank
from traceana.report.layers import AxisCalls
from traceana.report.operations import Bucket, CallSite, HostCalls, Operation, UnevenSizes
from traceana.report.overlap import OverlapPrice
from traceana.report.paired import PairedRow
from traceana.report.perf_dumps import PerfDump
from traceana.report.ranks import Clock, RankReport, RankWait, Straggler, Timeline
from traceana.report.setup import Setup
from traceana.report.spans import Span, StepTime
from traceana.report.what_if import WhatIf


class RunReport(msgspec.Struct, frozen=True, kw_only=True):
    """One run: a set of ranks that worked together under one label.

    Repeats of one setting form a side: they share `side`, and `repeat` counts them from 1. A run that was not
    repeated is a side by itself: `side` is its label and `repeat` None.
    """

    label: str
    side: str
    repeat: int | None
    path: str
    backend: str
    """The backend that issued most of the communication time, from evidence in the traces."""
    backends_seen: tuple[str, ...]
    world_size: int
    missing_ranks: tuple[int, ...]
    gpus: tuple[str, ...]
    versions: tuple[tuple[str, str], ...]
    """Pairs such as ("nccl", "2.28.9"), from the traces and, where there is one, run.json."""
    setup: Setup | None
    """None where there is no run.json."""
    ranks: tuple[RankReport, ...]
    operations: tuple[Operation, ...]
    buckets: tuple[Bucket, ...]
    stragglers: tuple[Straggler, ...]
    waits: tuple[RankWait, ...]
    spans: tuple[Span, ...]
    call_sites: tuple[CallSite, ...]
    clock: Clock
    timeline: Timeline | None
    coverage: Coverage
    steps: tuple[StepTime, ...]
    """Empty where no span looks like a step and the sequence of collectives does not repeat itself."""
    requests: tuple[StepTime, ...]
    perf_dumps: tuple[PerfDump, ...]
    """sglang's perf dumps in or beside the run's folder."""
    noise: tuple[Noise, ...]
    hta: HtaSection | None
    paired: tuple[PairedRow, ...] = ()
    """Empty without `traceana capture --paired`."""
    host_calls: tuple[HostCalls, ...] = ()
    """Empty on a trace without a GPU, whose operations are the host's."""
    overlap_price: OverlapPrice | None = None
    """None where no kernel ran often enough both beside communication and without it."""
    what_if: tuple[WhatIf, ...] | None = None
    """The changes that would shorten a step most, each by itself, at most three, the largest first; None where they are
    not known."""
    what_if_unknown: str | None = None
    """What the recording does not tell, so that they are not known."""
    uneven: tuple[UnevenSizes, ...] = ()
    """Collectives whose sizes differ by rank."""
    late: tuple[LateRank, ...] = ()
    """Ranks that others waited for, most `rooted_ns` first, at most eight; empty where there is no GPU."""
    other_timelines: tuple[Timeline, ...] = ()
    """The slowest and the fastest steady step, where they are others than `timeline`'s; of up to 16 ranks."""
    named_files: tuple[str, ...] = ()
    """The files of the run where they were named one by one: its folder may hold others."""
    bench: BesideBench | None = None
    """None without `analyze --bench`."""
    axes: tuple[AxisCalls, ...] = ()
    """Empty in reports of before it was known, and where there is no communication."""
