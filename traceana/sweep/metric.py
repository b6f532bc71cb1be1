"""What of a run is compared: a time, from the clock, a perf dump, the command's output, or its trace."""

import re
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from statistics import median

import msgspec

from traceana.comparing.end_to_end import EXPOSED_FLOOR_NS
from traceana.errors import TraceanaError
from traceana.kernels import OPERATIONS
from traceana.report import PerfDump, RunReport
from traceana.trace.perf_dump import read_perf_dump

_NS = {"ns": 1, "us": 1_000, "µs": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
_TIME = re.compile(r"\s*([0-9][0-9.]*(?:e-?\d+)?)\s*(ns|us|µs|ms|s)\b")
_NAMES = tuple(operation.name for operation in OPERATIONS)
OUTPUT = "output:"


class Source(Enum):
    """Where a metric is read; a trace only where nothing else has it, because the profiler slows the run."""

    WALL = "the command's time"
    DUMP = "sglang's perf dump"
    OUTPUT = "the command's output"
    TRACE = "the traces"


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """`per_gpu` multiplies the time by the GPUs: the inverse of the throughput of a GPU."""

    name: str
    source: Source
    per_gpu: bool = False
    pattern: str = ""

    @property
    def title(self) -> str:
        """In words, for tables."""
        return {
            "wall": "time of the command",
            "request": "request",
            "step": "denoising step",
            "exposed": "exposed communication a step",
            "throughput": "GPU time a request",
        }.get(self.name, f"output {self.pattern}" if self.pattern else self.name)


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """What a run left: its time, output, perf dump where the command writes one, and traces where it was captured."""

    wall_ns: int
    gpus: int | None
    log: Path
    dump: PerfDump | None = None
    trace: RunReport | None = None


class NoValue(TraceanaError):
    """The run ended well and does not have what is compared."""


def parse(text: str, *, has_dump: bool) -> Metric:
    """A metric by its name. Raises TraceanaError for an unknown one, and where the command writes no perf dump."""
    if text.startswith(OUTPUT):
        return Metric(name=text, source=Source.OUTPUT, pattern=_pattern(text.removeprefix(OUTPUT)))
    if text in ("exposed", *_NAMES):
        return Metric(name=text, source=Source.TRACE)
    if text == "wall":
        return Metric(name=text, source=Source.WALL)
    if text == "throughput":
        return Metric(name=text, source=Source.DUMP if has_dump else Source.WALL, per_gpu=True)
    if text in ("request", "step"):
        if not has_dump:
            raise TraceanaError(f"--metric {text} is read from sglang's perf dump; add --perf-dump-path {{perf_dump}}")
        return Metric(name=text, source=Source.DUMP)
    raise TraceanaError(
        f"--metric {text}: choose wall, request, step, throughput, exposed, {', '.join(_NAMES)} or output:REGEX"
    )


def value_ns(metric: Metric, run: Finished) -> int:
    """The run's value. Raises NoValue where it has none."""
    found = _time_ns(metric, run) * (run.gpus or 1 if metric.per_gpu else 1)
    if found <= 0:
        raise NoValue(f"{metric.title} is {found} ns")
    return found


def last_time_ns(text: str, pattern: str) -> int:
    """The last time in the pattern's group, or just after the pattern. Raises NoValue where there is none."""
    found = None
    for match in re.finditer(pattern, text):
        begin = match.start(1) if match.re.groups else match.end()
        found = _TIME.match(text, begin) or found
    if found is None:
        raise NoValue(f"the output has no time with its unit (s, ms, us, ns) at {pattern!r}")
    return round(float(found[1]) * _NS[found[2]])


def _pattern(text: str) -> str:
    try:
        groups = re.compile(text).groups
    except re.error as error:
        raise TraceanaError(f"--metric output:{text}: no regular expression: {error}") from None
    if groups > 1:
        raise TraceanaError(f"--metric output:{text}: one group, which holds the time, or none")
    return text


def _time_ns(metric: Metric, run: Finished) -> int:
    match metric.source:
        case Source.WALL:
            return run.wall_ns
        case Source.OUTPUT:
            return last_time_ns(run.log.read_text(errors="replace"), metric.pattern)
        case Source.DUMP:
            assert run.dump is not None
            return _step_ns(run.dump) if metric.name == "step" else run.dump.total_ns
        case Source.TRACE:
            assert run.trace is not None
            return _exposed_ns(run.trace) if metric.name == "exposed" else _operation_ns(run.trace, metric.name)


def _step_ns(dump: PerfDump) -> int:
    """The first denoising step warms up."""
    return _median_ns(dump.denoise_steps_ns[1:], "the perf dump has fewer than two denoising steps")


def _exposed_ns(run: RunReport) -> int:
    steps = [max(step.exposed_payload_ns, EXPOSED_FLOOR_NS) for step in run.steps if step.steady]
    return _median_ns(steps, "the trace has no steady step")


def _operation_ns(run: RunReport, op: str) -> int:
    """One rank's time in the operation's steady calls."""
    calls = [one.steady.duration_ns.sum for one in run.operations if one.op == op and one.steady]
    if not calls:
        raise NoValue(f"the trace has no steady call of {op}")
    return round(sum(calls) / max(1, len(run.ranks)))


def _median_ns(times: Sequence[int], lack: str) -> int:
    if not times:
        raise NoValue(lack)
    return round(median(times))


def read_dump(path: Path) -> PerfDump:
    """The run's perf dump. Raises NoValue where it wrote none: sglang ends with 0 where a generation failed."""
    if not path.is_file():
        raise NoValue("no perf dump was written; the output says why")
    return read_perf_dump(path)
