"""The good little trace that every defect starts from, and the layouts in which it can be written."""

import gzip
import json
import zlib
from collections.abc import Callable

from tests.synthetic.kineto import SIDE_STREAM, CollectiveArgs, Event, EventWriter, Group, document

WORLD = Group(name="0", description="default_pg", ranks=(0,))
START_NS = 4_636_077_895_000_000
MATRIX_PRODUCT = "nvjet_tst_128x256_64x4_2x1_v_bz_coopB_TNT"
ALL_REDUCE = "ncclDevKernel_AllReduce_Sum_bf16_RING_LL(ncclDevKernelArgsStorage<4096ul>)"
KERNELS = 4
COMM_KERNELS = 2
COMPUTE_NS = 160_000
COMM_NS = 100_000
SPAN_NS = 290_000
"""What `good` holds: two matrix products of 80 µs, each followed by an all-reduce of 50 µs, 10 µs apart."""


def good(*, rank: int = 0, start_ns: int = START_NS, dtype: str = "BFloat16", group: Group = WORLD) -> Event:
    """The trace of one rank that multiplies and reduces twice, 40 µs of launches ahead of the device."""
    writer = EventWriter(rank=rank)
    writer.host_span("user_annotation", "denoise_step 0", start_ns - 40_000, 200_000)
    metadata = CollectiveArgs(name="allreduce", in_nelems=4096, out_nelems=4096, dtype=dtype, group=group)
    for at_ns in (start_ns, start_ns + 150_000):
        add_kernel(writer, at_ns, 80_000)
        external_id = writer.host_span("cpu_op", "record_param_comms", at_ns + 50_000, 3_000, metadata.as_args())
        args = {**metadata.as_args(), "blocks per SM": 0.015152, "est. achieved occupancy %": 0}
        writer.activity("kernel", ALL_REDUCE, at_ns + 90_000, 50_000, external_id=external_id, args=args)
    return finish(writer, group)


def add_kernel(
    writer: EventWriter, start_ns: int, dur_ns: int, *, name: str = MATRIX_PRODUCT, side: bool = False
) -> None:
    """A kernel with the figures that Kineto adds."""
    args: Event = {
        "registers per thread": 168,
        "blocks per SM": 7.757576,
        "warps per SM": 31.030304,
        "grid": [132, 1, 1],
    }
    writer.activity("kernel", name, start_ns, dur_ns, stream=SIDE_STREAM if side else 7, args=args)


def finish(writer: EventWriter, group: Group = WORLD) -> Event:
    """The file around the events."""
    return document(writer, world_size=len(group.ranks), groups=(group,), gpu="NVIDIA H200")


def kernels_of(content: Event) -> list[Event]:
    """The kernel events inside a document, to change them."""
    events = content["traceEvents"]
    assert isinstance(events, list)
    return [event for event in events if event.get("cat") == "kernel"]


def pretty(content: Event) -> bytes:
    """Spread over lines, as Kineto writes."""
    return json.dumps(content, indent=2, ensure_ascii=False).encode()


def compact(content: Event) -> bytes:
    """No space at all, as `json.dumps` with separators or `jq -c` writes."""
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()


def changed(change: Callable[[list[Event]], None]) -> bytes:
    """The good trace with its kernels changed in place."""
    content = good()
    change(kernels_of(content))
    return pretty(content)


def replaced(old: bytes, new: bytes, *, count: int = 1) -> bytes:
    """The good trace with some text replaced, for what no JSON writer would write."""
    data = pretty(good())
    assert data.count(old) >= count
    return data.replace(old, new, count)


def packed(data: bytes) -> bytes:
    """Through gzip, the same bytes each time."""
    return gzip.compress(data, mtime=0)


def readable(data: bytes) -> bytes:
    """What a gzip stream yields before it ends or is cut; other data as it is."""
    if data[:2] != b"\x1f\x8b":
        return data
    text = b""
    while data:
        member = zlib.decompressobj(wbits=31)
        text += member.decompress(data)
        data = member.unused_data
    return text
