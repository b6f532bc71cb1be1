"""One rank's trace as typed columns. Times are int64 ns since the epoch or, without a base, since the file's zero.

All other columns are as narrow as their values, so what is reckoned with them is widened first.
"""

from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from traceana.trace.file import Damage
from traceana.trace.header import Header

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

GPU_CATEGORIES = ("kernel", "gpu_memcpy", "gpu_memset")
WAITS = ("device", "stream", "event", "stream on event")
"""What the runtime's waiting calls wait for; the last one makes a stream wait, and the host goes on."""


class ModuleName(msgspec.Struct, frozen=True, kw_only=True):
    """An `nn.Module`: its path, its class, and the class of the numbered layer that it is in or is; None if unknown."""

    path: str
    kind: str | None
    layer: str | None


class CallMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """What a trace says about one collective call, in c10d's own words; None where it says nothing."""

    name: str
    dtype: str | None
    in_nelems: int | None
    out_nelems: int | None
    group_size: int | None
    group_name: str | None
    group_ranks: tuple[int, ...] | None
    seq: int | None
    backend: str | None
    """Written by capture for calls that do not go through c10d."""
    library: str | None
    sends_to: tuple[int, ...] = ()
    """Global ranks that a point-to-point call sends to."""
    receives_from: tuple[int, ...] = ()
    in_split: tuple[int, ...] = ()
    """Elements for each rank of the group, where they differ; empty where they do not or are not told."""
    out_split: tuple[int, ...] = ()
    site: str | None = None
    """Where the call was issued, written by capture for calls on the host, whose spans are on other threads."""
    module: ModuleName | None = None
    """The module that issued the call, written by capture."""
    group_description: str | None = None


class Activities(msgspec.Struct, frozen=True, kw_only=True):
    """GPU activities: `name` indexes RankTrace.names, `category` GPU_CATEGORIES, `call` RankTrace.calls or is -1."""

    start_ns: Ints
    end_ns: Ints
    name: Ints
    category: Ints
    device: Ints
    stream: Ints
    correlation: Ints
    call: Ints
    external: Ints
    """Kineto's External id, which names the host's operator; -1 where absent."""
    shape: Ints
    """A number for each pair of a grid and a block; -1 where absent."""


class HostRows(msgspec.Struct, frozen=True, kw_only=True):
    """Host-side rows on threads: launches (`key` is the correlation), spans and calls (`key` is an index)."""

    start_ns: Ints
    end_ns: Ints
    thread: Ints
    key: Ints


class StreamWaits(msgspec.Struct, frozen=True, kw_only=True):
    """From launch `correlation` on, `stream` waits for what `on_stream` was given before launch `recorded`.

    In traces with Kineto's cuda_sync events (`enable_cuda_sync_events` of torch's `_ExperimentalConfig`).
    """

    stream: Ints
    correlation: Ints
    on_stream: Ints
    recorded: Ints


class RankTrace(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the analysis needs of one file."""

    path: Path
    header: Header
    damage: Damage
    events: int
    names: tuple[str, ...]
    activities: Activities
    launches: HostRows
    waits: HostRows
    """The runtime's calls that wait for the device, or make a stream wait; `key` indexes WAITS."""
    stream_waits: StreamWaits
    spans: HostRows
    """User annotations; `key` indexes names. c10d's own annotations are not among them."""
    modules: HostRows
    """Calls of `nn.Module`s, in traces with Python stacks; `key` indexes names."""
    forward: HostRows
    """Operators of the forward pass, in traces with Python stacks; `key` is autograd's sequence number."""
    backward: HostRows
    """Autograd's functions of the backward pass in such traces; `key` is the number of their forward's operator."""
    host_calls: HostRows
    """Host spans of collective calls; `key` indexes calls."""
    host_collectives: HostRows
    """Host spans that are themselves the communication (gloo); `key` indexes calls."""
    operators: HostRows
    """PyTorch's operators on the host, but for those that lie wholly in others; `key` indexes host_names."""
    frames: HostRows
    """Python frames, in traces with stacks; `key` indexes host_names."""
    host_names: tuple[str, ...]
    c10d_spans: HostRows
    """c10d's own annotations on the host (`nccl:coalesced`); `key` indexes calls."""
    device_c10d_spans: HostRows
    """The same on the GPU; `thread` is the stream, `key` 0."""
    graph_launches: Ints
    """Correlations of CUDA graph launches."""
    foreign: tuple[str, ...]
    """Categories of devices whose events are not read."""
    calls: tuple[CallMetadata, ...]
    call_external: Ints
    """For each of `calls` the External id of its host operator, or -1."""
    window_end_ns: int | None = None
    """When the profiler stopped, by its own mark; None where the trace has none."""
