"""What a bench's verdicts mean for others: NCCL's tuner, a program that chooses by size, a shell.

A backend stands at a size where it is not certainly slower than another. Below the smallest measured size and above the
largest nothing is claimed.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from traceana import units
from traceana.bench.verdicts import Stretch, by_place, stretches, verdicts
from traceana.errors import TraceanaError
from traceana.plain import plain
from traceana.report.bench import BenchReport, BenchRow, BenchVerdict

_TUNER_NAMES = {
    "all_reduce": "allreduce",
    "all_gather": "allgather",
    "reduce_scatter": "reducescatter",
    "broadcast": "broadcast",
    "reduce": "reduce",
}
"""The tuner has no other operations."""
_NCCL_ITSELF = "pynccl"
_SGLANG_IPC = "sglang_ipc"
_IPC_ON = ("export SGLANG_DIFFUSION_IPC_A2A=1",)
_IPC_OFF = (
    "export SGLANG_DIFFUSION_IPC_A2A=0",
    "export SGLANG_DIFFUSION_IPC_A2A_MULTI=0",
    "export SGLANG_DIFFUSION_ULYSSES_PIPELINE_GROUPS=0",
)


class Range(msgspec.Struct, frozen=True, kw_only=True):
    """Messages of `from_bytes` up to, not including, `below_bytes`; the last range ends with the largest measured."""

    from_bytes: int
    below_bytes: int
    backend: str


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """Backends of one operation by size, each among the leaders there; `cannot_tell` are sizes with several leaders."""

    op: str
    graph: bool
    ranges: tuple[Range, ...]
    cannot_tell: tuple[int, ...]


class Dispatch(msgspec.Struct, frozen=True, kw_only=True):
    """A table for a program that chooses a backend by operation and size."""

    schema_version: int
    ranks: int
    hosts: int
    device: str | None
    dtypes: tuple[str, ...]
    operations: tuple[Choice, ...]


def dispatch(report: BenchReport) -> Dispatch:
    """The verdicts as ranges, which meet where two backends take the same time."""
    places = dict.fromkeys((one.op, one.graph) for one in report.verdicts)
    return Dispatch(
        schema_version=1,
        ranks=report.ranks,
        hosts=report.hosts,
        device=dict(report.machine).get("device"),
        dtypes=tuple(dict.fromkeys(row.dtype for row in report.rows)),
        operations=tuple(_choice(report, op, graph) for op, graph in places),
    )


def _choice(report: BenchReport, op: str, graph: bool) -> Choice:
    of_place = [one for one in report.verdicts if (one.op, one.graph) == (op, graph)]
    changes = {
        (one.smaller, one.larger, one.to_bytes): one.at_bytes
        for one in report.crossovers
        if (one.op, one.graph) == (op, graph)
    }
    places = by_place(report.rows)
    found = stretches(of_place, places)
    # Where every backend leads at every size, no choice is better than another.
    told = any(len(one.leaders) < len(places[op, one.message_bytes, graph]) for one in of_place)
    return Choice(
        op=op,
        graph=graph,
        ranges=tuple(_ranges(found, changes)) if told else (),
        cannot_tell=tuple(sorted(one.message_bytes for one in of_place if not one.certain)),
    )


def _ranges(found: Sequence[Stretch], changes: Mapping[tuple[str, str, int], int]) -> Iterator[Range]:
    begin = found[0].verdicts[0].message_bytes
    for a, b in itertools.pairwise(found):
        at = changes[a.backend, b.backend, b.verdicts[0].message_bytes]
        yield Range(from_bytes=begin, below_bytes=at, backend=a.backend)
        begin = at
    last = found[-1]
    yield Range(from_bytes=begin, below_bytes=last.verdicts[-1].message_bytes + 1, backend=last.backend)


def tuner(report: BenchReport) -> str:
    """Lines of the file that NCCL_TUNER_CONFIG_FILE names: where one algorithm and protocol beats NCCL's own choice.

    Format: collective,min,max,algorithm,protocol,channels,nNodes,nRanks of NCCL's example tuner
    (https://github.com/NVIDIA/nccl/tree/master/plugins/tuner/example). Raises TraceanaError without such rows.
    """
    places: dict[tuple[str, int], dict[str, BenchRow]] = {}
    for row in report.rows:
        if not row.graph and row.op in _TUNER_NAMES and (row.backend == _NCCL_ITSELF or _is_setting(row.backend)):
            places.setdefault((row.op, row.message_bytes), {})[row.backend] = row
    pairs = [_pair(of_place) for of_place in places.values() if _NCCL_ITSELF in of_place and len(of_place) > 1]
    if not pairs:
        raise _no_settings()
    found = verdicts(by_place([row for pair in pairs for row in pair]))
    head = "# collective,min_bytes,max_bytes,algorithm,protocol,channels,nNodes,nRanks; made by traceana bench"
    return "\n".join([head, *_tuner_lines(report, found)]) + "\n"


def _pair(of_place: Mapping[str, BenchRow]) -> tuple[BenchRow, BenchRow]:
    others = [row for name, row in of_place.items() if name != _NCCL_ITSELF]
    return of_place[_NCCL_ITSELF], min(others, key=lambda row: row.p50_ns)


def _tuner_lines(report: BenchReport, found: Sequence[BenchVerdict]) -> Iterator[str]:
    for op in dict.fromkeys(one.op for one in found):
        of_op = sorted((one for one in found if one.op == op), key=lambda one: one.message_bytes)
        edges = [one.message_bytes for one in of_op]
        middles = [math.isqrt(a * b) for a, b in itertools.pairwise(edges)]
        bounds = zip([edges[0], *[middle + 1 for middle in middles]], [*middles, edges[-1]], strict=True)
        chosen = [
            (one.best if one.certain and one.best != _NCCL_ITSELF else None, low, high)
            for one, (low, high) in zip(of_op, bounds, strict=True)
        ]
        for name, group in itertools.groupby(chosen, key=lambda one: one[0]):
            ranges = list(group)
            if name is not None:
                algorithm, _, protocol = name.partition(":")[2].partition("/")
                where = f"{ranges[0][1]},{ranges[-1][2]}"
                yield f"{_TUNER_NAMES[op]},{where},{algorithm},{protocol},-1,{report.hosts},{report.ranks}"


def shell(report: BenchReport) -> str:
    """Variables that make a program use what is fastest, and as comments what no variable can."""
    table = dispatch(report)
    lines = [f"# traceana bench: {units.plural(report.ranks, 'rank')}, {table.device or 'device not known'}"]
    lines += [f"# {_in_words(choice)}" for choice in table.operations]
    winners = {one.backend for choice in table.operations if choice.op == "all_to_all" for one in choice.ranges}
    if _SGLANG_IPC in {row.backend for row in report.rows} and len(winners) == 1:
        lines += _IPC_ON if winners == {_SGLANG_IPC} else _IPC_OFF
    return "\n".join(map(plain, lines)) + "\n"


def _in_words(choice: Choice) -> str:
    place = choice.op + (" in a graph" if choice.graph else "")
    if not choice.ranges:
        return f"{place}: cannot tell"
    parts = [f"{one.backend} from {units.size(one.from_bytes)}" for one in choice.ranges]
    return f"{place}: {', '.join(parts)} to {units.size(choice.ranges[-1].below_bytes - 1)}"


def _dispatch_text(report: BenchReport) -> str:
    return msgspec.json.format(msgspec.json.encode(dispatch(report)), indent=1).decode() + "\n"


KINDS: Mapping[str, Callable[[BenchReport], str]] = {"tuner": tuner, "dispatch": _dispatch_text, "shell": shell}


def parse_emit(text: str, backends: Sequence[str]) -> tuple[str, Path]:
    """ "tuner=FILE" to its parts. Raises TraceanaError for anything else, and where `backends` give no such thing."""
    kind, _, file = text.partition("=")
    if kind not in KINDS or not file:
        raise TraceanaError(f"--emit {text}: write KIND=FILE, with any of {', '.join(KINDS)}")
    if kind == "tuner" and not (_NCCL_ITSELF in backends and any(map(_is_setting, backends))):
        raise _no_settings()
    return kind, Path(file)


def _is_setting(backend: str) -> bool:
    return backend.startswith(f"{_NCCL_ITSELF}:")


def _no_settings() -> TraceanaError:
    return TraceanaError(
        "--emit tuner: needs NCCL's own choice beside others; add --backend pynccl,pynccl:ring/ll,pynccl:tree/ll"
    )


def write(report: BenchReport, kind: str, path: Path) -> None:
    """Write one of KINDS. Raises TraceanaError where it cannot be written, or made of these rows."""
    content = KINDS[kind](report)
    try:
        path.write_text(content, encoding="utf-8")
    except OSError as error:
        raise TraceanaError(f"{path}: cannot be written ({error.strerror}); name another file with --emit") from error
