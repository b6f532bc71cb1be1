"""What of a program's calls is control traffic: a scheduler that waits for work tells its workers so on the host.

Such calls wait for as long as there is no work, which would make them what costs most, and all of the window exposed.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from traceana.report import Operation

if TYPE_CHECKING:
    # It brings numpy, which what shows a report has no use for.
    from traceana.analyze.collectives import Signature

# Capture's --max-collectives leaves calls of so many bytes on the host out too.
_CONTROL_BYTES = 16
_Key = tuple[str, int | None]


def control(operations: Iterable[Operation]) -> set[_Key]:
    """Operations and sizes that are all on the host and this small; none where there is nothing else."""
    small: dict[_Key, bool] = {}
    for one in operations:
        key = one.op, one.message_bytes
        small[key] = small.get(key, True) and is_small(one)
    return {key for key, is_so in small.items() if is_so} if not all(small.values()) else set()


def is_small(one: "Operation | Signature") -> bool:
    """Whether a call is on the host and no larger than what a scheduler tells its workers."""
    size = one.message_bytes
    return size is not None and size <= _CONTROL_BYTES and one.library.startswith("gloo")
