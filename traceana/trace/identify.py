"""What a file is, told without decoding its events: a rank's trace, or something that only looks like one.

A file counts as a rank's if it states its rank, or if it holds GPU activity or collectives. What else lies in folders
of traces, by its own words: VizTracer's `viztracer_metadata` and category FEE (viztracer, `report_builder.py`), NCCL's
profiler plugin (nccl, `ext-profiler/example/print_event.cc`), Ascend's `trace_view.json` (torch_npu), Chakra's
execution traces (torch, `execution_trace_observer.cpp`), and sglang's merges, whose processes are called
"[TP00-DP00] 1" (sglang, `profile_merger.py`).
"""

import re
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import msgspec

from traceana.errors import TraceanaError
from traceana.trace.file import NO_EVENT, NotATraceError, TraceFile
from traceana.trace.header import Header, decode_header
from traceana.trace.lenient import ranks
from traceana.trace.stream import ByteStream, last_bytes

_TAIL_BYTES = 8 << 20
_OVERLAP = 256
_FIRST_BYTES = 1 << 20
_RECORD_BYTES = 4 << 10

_COMPLETE = re.compile(rb'"ph"\s*:\s*"X"')
_TIME = re.compile(rb'"ts"\s*:\s*"?(-?[\d.]{1,24}(?:[eE][-+]?\d{1,2})?)')
_TIME_BEHIND = 4 << 10
_GROUP_RANKS = re.compile(rb'"Process Group Ranks"\s*:\s*"?\[([\d\s,]{1,1000})\]')
_MERGE = re.compile(
    rb'"pid"\s*:\s*"(?:\[[^\]"]{1,80}\]|[^"]{0,40}\b(?:rank|TP|DP|PP|EP)[-_ :]?\d)[^"]{0,80}"', re.IGNORECASE
)
_ACTIVE = re.compile(
    rb'"cat"\s*:\s*"(?:[kK]ernel|Mem(?:cpy|set)|gpu_mem\w{3,4}|gpu_user_annotation|(?:xpu|mtia|hpu|privateuse1)\w*)"'
    rb'|"name"\s*:\s*"(?:record_param_comms|(?:nccl|gloo|ucc|mpi|xccl|hccl):)'
)
_TORCH = re.compile(
    rb'"cat"\s*:\s*"(?:cpu_op|user_annotation|cuda_runtime|cuda_driver|python_function|cpu_instant_event|Operator'
    rb'|Runtime)"'
)
_FOREIGN = (
    (re.compile(rb'"viztracer_metadata"|"cat"\s*:\s*"FEE"'), "is a trace of VizTracer, not of torch.profiler"),
    (
        re.compile(rb'"cat"\s*:\s*"(?:(?:GROUP|COLL|P2P|PROXY|NET|KERNEL)(?:_[A-Z0-9_]+)?)"'),
        "is a trace of NCCL's profiler plugin, not of torch.profiler",
    ),
    (
        re.compile(rb'"Ascend Hardware"|"cat"\s*:\s*"(?:async_npu|HostToDevice)"|"Task Type"\s*:\s*"(?:AI_|HCCL)'),
        "is a trace of Ascend's profiler (torch_npu), whose events are not read",
    ),
)
_EXECUTION_TRACE = re.compile(rb'"nodes"\s*:\s*\[|"schema"\s*:\s*"[^"]*chakra')


class ForeignTraceError(NotATraceError):
    """The file is a trace, or a record beside traces, that is no rank's."""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """A file that may be a rank's. `header` has the keys before and after the events.

    `start_ns` is when the first events began, on the file's clock, or None where no time was found.
    """

    path: Path
    header: Header
    start_ns: int | None
    active: bool
    """Whether it holds GPU activity or collectives."""
    peers: frozenset[int]
    """Ranks that its first calls name as their group's."""


def identify(path: Path) -> Identity:
    """Tell what a file is.

    Raises ForeignTraceError where it is something else than a rank's trace, NotATraceError where it is no trace, and
    TraceanaError where it cannot be read.
    """
    file = TraceFile(path)
    try:
        first, blocks = file.raw_events()
    except NotATraceError as error:
        raise _known_record(path) or error from None
    if file.header.merged or _MERGE.search(first, 0, _FIRST_BYTES):
        raise _merge(path)
    header = file.header
    if header.rank is None:
        header = header.completed_by(decode_header(_tail(path)))
    if header.merged:
        raise _merge(path)
    active, torch = (True, True) if header.rank is not None else _look(path, first, blocks)
    if not torch and not active:
        raise _not_of_torch(path, first)
    return Identity(path=path, header=header, start_ns=_start(first, header), active=active, peers=_peers(first))


def _look(path: Path, first: bytes, blocks: Iterable[bytes]) -> tuple[bool, bool]:
    """Whether there is GPU activity or a collective, and whether there are events of torch at all."""
    before, torch = b"", False
    for block in chain([first], blocks):
        window = before + block
        for pattern, what in _FOREIGN:
            if not torch and pattern.search(window, 0, _FIRST_BYTES):
                raise ForeignTraceError(f"{path}: {what}")
        if _ACTIVE.search(window):
            return True, True
        torch = torch or _TORCH.search(window) is not None
        before = block[-_OVERLAP:]
    return False, torch


def _peers(first: bytes) -> frozenset[int]:
    groups = _GROUP_RANKS.findall(first, 0, _FIRST_BYTES)
    return frozenset(rank for group in groups for rank in ranks(group.decode()) or ())


def _first_time(first: bytes) -> re.Match[bytes] | None:
    """The time of the first complete event that has one, before its arguments."""
    for phase in _COMPLETE.finditer(first, 0, _FIRST_BYTES):
        between, key, _ = first[phase.end() : phase.end() + _TIME_BEHIND].partition(b'"ts"')
        at = phase.end() + len(between)
        if key and b"{" not in between and b"}" not in between and (time := _TIME.match(first, at)):
            return time
    return None


def _start(first: bytes, header: Header) -> int | None:
    found = _first_time(first)
    try:
        return (header.base_time_ns or 0) + round(float(found[1]) * 1000) if found else None
    except ValueError:
        return None


def _tail(path: Path) -> bytes:
    """The last bytes of the file, as an object of whatever keys are in them."""
    try:
        return last_bytes(path, _TAIL_BYTES)
    except OSError as error:
        raise TraceanaError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions") from error


def _not_of_torch(path: Path, first: bytes) -> ForeignTraceError:
    if not _first_time(first):
        return ForeignTraceError(f"{path}: {NO_EVENT}")
    return ForeignTraceError(f"{path}: is a trace of another program: it holds no events of torch.profiler")


def _merge(path: Path) -> ForeignTraceError:
    return ForeignTraceError(f"{path}: is a merge of several ranks; name the ranks' own files or their folder")


def _known_record(path: Path) -> ForeignTraceError | None:
    try:
        head = next(iter(ByteStream(path)), b"")[:_RECORD_BYTES]
    except OSError:
        return None
    if head.lstrip().startswith(b"{") and _EXECUTION_TRACE.search(head):
        return ForeignTraceError(f"{path}: is an execution trace (Chakra), not a profiler's")
    return None
