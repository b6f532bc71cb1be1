"""What NCCL's calls between ncclGroupStart and ncclGroupEnd come to, which is what their one kernel carries."""

from typing import Any

import pytest
from traceana_capture.agent.nccl_groups import DTYPES, NcclCall, Whole, alone, together

HALF, INT, FLOAT, BFLOAT16, BYTE = (DTYPES.index(name) for name in ("Half", "Int", "Float", "BFloat16", "Byte"))


def call(operation: str, count: int, root: int = -1, datatype: int = HALF, communicator: int = 7) -> NcclCall:
    return NcclCall(operation=operation, count=count, datatype=datatype, communicator=communicator, root=root)


def sizes(whole: Whole | None) -> Any:
    return whole and (whole.operation, whole.datatype, whole.sent, whole.received)


UNEVEN = [("broadcast", 10, 0), ("broadcast", 22, 1)]
TOGETHER: dict[str, tuple[list[NcclCall], tuple[Any, ...] | None]] = {
    "a broadcast by each rank gathers": ([call(*row) for row in UNEVEN], ("_allgather_base", HALF, 22, 32)),
    "of two tensors too": ([call(*row) for row in UNEVEN * 2], ("_allgather_base", HALF, 44, 64)),
    "a reduce to each rank scatters": (
        [call("reduce", 10, 0), call("reduce", 22, 1)],
        ("_reduce_scatter_base", HALF, 32, 22),
    ),
    "broadcasts by one rank are broadcasts": (
        [call("broadcast", 10, 0), call("broadcast", 5, 0)],
        ("broadcast", HALF, 15, 15),
    ),
    "several gathers add up": (
        [call("_allgather_base", 12), call("_allgather_base", 6)],
        ("_allgather_base", HALF, 18, 36),
    ),
    "of several types, in bytes": (
        [call("_allgather_base", n, datatype=kind) for n, kind in ((20, BFLOAT16), (5, FLOAT), (3, INT))],
        ("_allgather_base", BYTE, 72, 144),
    ),
    "an exchange of several types, in bytes": (
        [call("send", 3, datatype=FLOAT), call("recv", 5, datatype=HALF)],
        ("send", BYTE, 12, 10),
    ),
    "one send and one receive for each rank": (
        [call("send", 3), call("recv", 5), call("send", 3), call("recv", 5)],
        ("all_to_all", HALF, 6, 10),
    ),
    "two operations": ([call("allreduce", 3), call("broadcast", 3, 0)], None),
    "two communicators": ([call("allreduce", 3), call("allreduce", 3, communicator=8)], None),
    "a type that we do not know": ([call("allreduce", 3), call("allreduce", 3, datatype=99)], None),
}


@pytest.mark.parametrize(("calls", "expected"), TOGETHER.values(), ids=TOGETHER)
def test_a_groups_calls_for_the_second_of_two_ranks(calls: list[NcclCall], expected: tuple[Any, ...] | None) -> None:
    assert sizes(together(calls, 2, 1)) == expected


def test_what_is_not_known_is_left_out() -> None:
    gathered = [call(*row) for row in UNEVEN]
    assert sizes(together(gathered, 2, None)) == ("_allgather_base", HALF, None, 32)
    # In a group of three these are two broadcasts.
    assert sizes(together(gathered, 3, 1)) == ("broadcast", HALF, 32, 32)
    assert sizes(alone(call("_allgather_base", 4), 0)) == ("_allgather_base", HALF, 4, None)
    assert sizes(alone(call("_reduce_scatter_base", 0), 0)) == ("_reduce_scatter_base", HALF, 0, 0)


def test_the_kernel_of_calls_that_differ_by_root_is_named_after_them() -> None:
    uneven = together([call(*row) for row in UNEVEN], 2, 1)
    even = together([call("_allgather_base", 12), call("_allgather_base", 6)], 2, 1)
    assert [whole and whole.kernel for whole in (uneven, even)] == ["broadcast", None]
