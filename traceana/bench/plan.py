"""What a bench is to measure: the value that goes from the command to every rank."""

import msgspec

from traceana.errors import TraceanaError
from traceana.report.bench import SIZED_OPERATIONS

OPERATIONS = (*SIZED_OPERATIONS, "all_to_all_4d", "all_to_all_4d_copies")
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_LARGEST = 1 << 40


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to measure: an operation on messages of `message_bytes`, counted as nccl-tests counts them.

    `shape` is the rank's [batch, sequence, heads, head size] of an all_to_all_4d, else empty.
    """

    op: str
    message_bytes: int
    shape: tuple[int, ...] = ()


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """All that the ranks need to know. `graphs` are the variants to measure: eager (False), CUDA graph (True).

    `warm_cache` leaves a message in the device's cache from call to call. `peak_gbps` is what a rank's link carries in
    one direction, None to ask NVML. `shape` says of which model and request the messages are.
    """

    messages: tuple[Message, ...]
    backends: tuple[str, ...]
    dtype: str
    graphs: tuple[bool, ...]
    in_place: bool
    iterations: int
    blocks: int
    imbalance: float
    under_compute: bool
    warm_cache: bool
    seed: int
    peak_gbps: float | None = None
    shape: str | None = None


def parse_size(text: str) -> int:
    """ "64K", "1MiB" or "512" to bytes, in powers of 1024. Raises TraceanaError for anything else."""
    lowered = text.strip().lower().removesuffix("ib").removesuffix("b")
    number, unit = (lowered[:-1], lowered[-1]) if lowered[-1:] in ("k", "m", "g") else (lowered, "")
    if not (number.isascii() and number.isdigit()) or len(number) > 12:
        raise TraceanaError(f"{text or 'an empty size'} is no size; write for example 512, 64K or 256M")
    size = int(number) * _UNITS[unit]
    if not 0 < size <= _LARGEST:
        raise TraceanaError(f"{text} is no size between 1 and 1024G")
    return size


def sizes(first: int, last: int, factor: int) -> tuple[int, ...]:
    """From `first` to `last` bytes, each `factor` times the one before. Raises TraceanaError where there is none."""
    if first > last:
        raise TraceanaError(f"-b {first} is larger than -e {last}: no size to measure")
    found = [first]
    while found[-1] * factor <= last:
        found.append(found[-1] * factor)
    return tuple(found)
