"""What of a program's calls is control traffic: a scheduler that waits for work tells its workers so on the host.

Such calls wait for as long as there is no work, which would make them what costs most, and all of the window exposed.
Where a run has nothing else they are its payload.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from traceana.report import Operation

if TYPE_CHECKING:
    # It brings numpy, which what shows a report has no use for.
    from traceana.analyze.collectives import Signature

# Capture's --max-collectives leaves calls of so many bytes on the host out too.
_CONTROL_BYTES = 16
Key = tuple[str, int | None, bool]
"""An operation, its size in bytes, and whether the call is as small as control traffic, on the host."""


def is_small(one: "Operation | Signature") -> bool:
    """Whether a call is on the host and no larger than what a scheduler tells its workers."""
    size = one.message_bytes
    return size is not None and size <= _CONTROL_BYTES and one.library.startswith("gloo")


def key(one: Operation) -> Key:
    """By what calls are summed, so that control traffic is never in one sum with payload."""
    return one.op, one.message_bytes, is_small(one)


def control(operations: Iterable[Operation]) -> set[Key]:
    """What of these operations is control traffic; nothing where there is nothing else."""
    keys = {key(one) for one in operations}
    small = {one for one in keys if one[2]}
    return small if len(small) < len(keys) else set()


def rows_of_control(operations: Iterable[Operation]) -> set[tuple[str, int | None]]:
    """Operations and sizes, whatever carries them, that are control traffic and nothing else."""
    found = list(operations)
    behind = control(found)
    return {(op, size) for op, size, _ in behind} - {(one.op, one.message_bytes) for one in found if not is_small(one)}
