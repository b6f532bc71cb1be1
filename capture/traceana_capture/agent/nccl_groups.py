"""What NCCL's calls between ncclGroupStart and ncclGroupEnd do as a whole: NCCL launches one kernel for all of them."""

import collections
from dataclasses import dataclass

# ncclDataType_t in nccl.h -> c10d's spelling, and bytes
DTYPES = ("Char", "Byte", "Int", "UInt32", "Long", "UInt64", "Half", "Float", "Double", "BFloat16")
_BYTES = (1, 1, 4, 4, 8, 8, 2, 4, 8, 2, 1, 1)
_BYTE = DTYPES.index("Byte")
# c10d's word -> how many times `count` is sent, how many times it is received; 0 stands for the group's size
TIMES: dict[str, tuple[int, int]] = {
    "allreduce": (1, 1),
    "broadcast": (1, 1),
    "reduce": (1, 1),
    "_allgather_base": (1, 0),
    "_reduce_scatter_base": (0, 1),
}
# What a call for each rank, which is its root, comes to.
_EACH_ITS_ROOT = {"broadcast": "_allgather_base", "reduce": "_reduce_scatter_base"}


@dataclass(frozen=True, slots=True, kw_only=True)
class NcclCall:
    """A call: c10d's word for it, elements, ncclDataType_t, the communicator's number, and its root, -1 without one."""

    operation: str
    count: int
    datatype: int
    communicator: int
    root: int = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """What a kernel carries: c10d's word, ncclDataType_t, elements sent and received, None where not known.

    `kernel` is c10d's word for what NCCL names the kernel after, where that is another operation.
    """

    operation: str
    datatype: int
    sent: int | None
    received: int | None
    kernel: str | None = None


def alone(call: NcclCall, size: int) -> Whole:
    """What one call carries in a group of `size` ranks, 0 where that is not known."""
    if call.operation not in TIMES:
        return Whole(operation=call.operation, datatype=call.datatype, sent=call.count, received=call.count)
    sent, received = (_elements(call.count, times, size) for times in TIMES[call.operation])
    return Whole(operation=call.operation, datatype=call.datatype, sent=sent, received=received)


def together(calls: list[NcclCall], size: int, rank: int | None) -> Whole | None:
    """What a group's calls carry for this rank of `size`; None where they are not one operation of one communicator.

    Where their types differ, elements are bytes.
    """
    operations = {call.operation for call in calls}
    same = _of_one_type(calls)
    if same is None or len({call.communicator for call in calls}) != 1:
        return None
    if operations <= {"send", "recv"}:
        return _exchange(same, size)
    return _collective(same, size, rank) if len(operations) == 1 else None


def _elements(count: int, times: int, size: int) -> int | None:
    return count * (times or size) or None if count else 0


def _of_one_type(calls: list[NcclCall]) -> list[NcclCall] | None:
    if len({call.datatype for call in calls}) == 1:
        return calls
    if any(call.datatype >= len(_BYTES) for call in calls):
        return None
    return [
        NcclCall(
            operation=call.operation,
            count=call.count * _BYTES[call.datatype],
            datatype=_BYTE,
            communicator=call.communicator,
            root=call.root,
        )
        for call in calls
    ]


def _exchange(calls: list[NcclCall], size: int) -> Whole:
    sends = [call.count for call in calls if call.operation == "send"]
    receives = [call.count for call in calls if call.operation == "recv"]
    operation = "all_to_all" if len(sends) == len(receives) == size else "send" if sends else "recv"
    return Whole(operation=operation, datatype=calls[0].datatype, sent=sum(sends), received=sum(receives))


def _collective(calls: list[NcclCall], size: int, rank: int | None) -> Whole:
    operation, datatype = calls[0].operation, calls[0].datatype
    total, roots = sum(call.count for call in calls), collections.Counter(call.root for call in calls)
    if operation in _EACH_ITS_ROOT and size > 1 and set(roots) == set(range(size)) and len(set(roots.values())) == 1:
        own = None if rank is None else sum(call.count for call in calls if call.root == rank)
        sent, received = (own, total) if operation == "broadcast" else (total, own)
        whole = _EACH_ITS_ROOT[operation]
        return Whole(operation=whole, datatype=datatype, sent=sent, received=received, kernel=operation)
    sent, received = (_elements(total, times, size) for times in TIMES[operation])
    return Whole(operation=operation, datatype=datatype, sent=sent, received=received)
