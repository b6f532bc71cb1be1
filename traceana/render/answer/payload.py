"""What of a program's calls is payload: a scheduler that waits for work tells its workers so on the host.

Such calls wait for as long as there is no work, which would make them what costs most.
"""

from collections.abc import Iterable

from traceana.report import Operation

# Capture's --max-collectives leaves calls of so many bytes on the host out too.
_CONTROL_BYTES = 16
_Key = tuple[str, int | None]


def control(operations: Iterable[Operation]) -> set[_Key]:
    """Operations and sizes that are all on the host and this small; none where there is nothing else."""
    small: dict[_Key, bool] = {}
    for one in operations:
        key = one.op, one.message_bytes
        size = one.message_bytes
        is_small = size is not None and size <= _CONTROL_BYTES and one.library.startswith("gloo")
        small[key] = small.get(key, True) and is_small
    return {key for key, is_so in small.items() if is_so} if not all(small.values()) else set()
