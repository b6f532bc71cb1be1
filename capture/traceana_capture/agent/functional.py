"""Has functional collectives, which DTensor and diffusers' context parallel use, come before they are issued.

They go from Python to C++ at once; their sizes are in torch's flight recorder. Compiled programs call past us.
"""

from typing import Any

import torch

from traceana_capture.agent.call_notes import CALLS

COLLECTIVES = {
    "_c10d_functional": (
        "all_reduce",
        "all_reduce_",
        "all_reduce_coalesced",
        "all_reduce_coalesced_",
        "all_gather_into_tensor",
        "all_gather_into_tensor_out",
        "all_gather_into_tensor_coalesced",
        "reduce_scatter_tensor",
        "reduce_scatter_tensor_out",
        "reduce_scatter_tensor_coalesced",
        "all_to_all_single",
        "broadcast",
        "broadcast_",
        "isend",
        "irecv",
        "batch_p2p_ops",
    ),
    "_c10d_functional_autograd": ("all_gather_into_tensor", "reduce_scatter_tensor", "all_to_all_single"),
    "_dtensor": ("shard_dim_alltoall",),
}


class Operator(torch._ops.OpOverloadPacket):
    """An operator of torch.ops that comes before it is issued.

    The operator's own object becomes one of these: torch's compiler keeps tables of operators, and knows it in them.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the operator."""
        if torch.compiler.is_compiling() or CALLS.inside.call:
            return super().__call__(*args, **kwargs)
        CALLS.come()
        with CALLS.placed():
            return super().__call__(*args, **kwargs)


def _packets() -> list[tuple[Any, Any]]:
    """The operators that this torch has, and their own classes."""
    named = ((getattr(torch.ops, space), name) for space, names in COLLECTIVES.items() for name in names)
    found = [getattr(space, name, None) for space, name in named]
    return [(packet, type(packet)) for packet in found if packet is not None]


PACKETS = _packets()


def tap(wanted: bool) -> None:
    """Have these calls come here, or leave them as torch made them."""
    for packet, own in PACKETS:
        packet.__class__ = Operator if wanted else own
