"""The value that `analyze` makes and every renderer takes: what `report.json` holds, field by field.

Times are integer nanoseconds, sizes bytes, bandwidths decimal GB/s as nccl-tests prints them
(https://github.com/NVIDIA/nccl-tests/blob/master/doc/PERFORMANCE.md). `None` means "not known", never zero.
"""

from traceana.report.beside_bench import BenchedCalls, BesideBench, UnbenchedCalls
from traceana.report.causes import ExposedIs, HostPlace, IdleBy, UncoveredBy
from traceana.report.comparison import Comparison, ComparisonRow, StepComparison
from traceana.report.coverage import Coverage, Noise, TruncatedFile
from traceana.report.hta import HtaSection, HtaTable
from traceana.report.late import LateBy, LateKernel, Lateness, LateRank, LateStep
from traceana.report.layers import AxisCalls, LayerCalls, ModuleCalls
from traceana.report.operations import Bucket, BytesByRank, CallSite, HostCalls, Operation, SteadyCalls, UnevenSizes
from traceana.report.overlap import OverlapPrice
from traceana.report.paired import PairedRow
from traceana.report.perf_dumps import MemoryCheckpoint, PerfDump, Stage
from traceana.report.ranks import (
    Clock,
    RankReport,
    RankWait,
    Straggler,
    Timeline,
    TimelineCall,
    TimelineRow,
    TimelineSlice,
)
from traceana.report.runs import RunReport
from traceana.report.setup import MissingRank, NcclLog, Setup
from traceana.report.spans import Span, SpanInstance, StepTime
from traceana.report.times import Distribution, Histogram
from traceana.report.what_if import WhatIf
from traceana.report.whole import Report

SCHEMA_VERSION = 1

__all__ = [
    "SCHEMA_VERSION",
    "AxisCalls",
    "BenchedCalls",
    "BesideBench",
    "Bucket",
    "BytesByRank",
    "CallSite",
    "Clock",
    "Comparison",
    "ComparisonRow",
    "Coverage",
    "Distribution",
    "ExposedIs",
    "Histogram",
    "HostCalls",
    "HostPlace",
    "HtaSection",
    "HtaTable",
    "IdleBy",
    "LateBy",
    "LateKernel",
    "LateRank",
    "LateStep",
    "Lateness",
    "LayerCalls",
    "MemoryCheckpoint",
    "MissingRank",
    "ModuleCalls",
    "NcclLog",
    "Noise",
    "Operation",
    "OverlapPrice",
    "PairedRow",
    "PerfDump",
    "RankReport",
    "RankWait",
    "Report",
    "RunReport",
    "Setup",
    "Span",
    "SpanInstance",
    "Stage",
    "SteadyCalls",
    "StepComparison",
    "StepTime",
    "Straggler",
    "Timeline",
    "TimelineCall",
    "TimelineRow",
    "TimelineSlice",
    "TruncatedFile",
    "UnbenchedCalls",
    "UncoveredBy",
    "UnevenSizes",
    "WhatIf",
]
