"""Two gloo ranks whose collectives also go to a stand-in for PyNccl, which is given where an adapter would give it.

With "alone" rank 1's window ends before rank 0's, and the work goes on.
"""

import sys
import time
from typing import Any

import torch
import torch.distributed as dist

from tests.integration.gloo_tensor import lasting
from tests.integration.two_ranks import run_both

CALLS = 16
WRONG = 5


class StandIn:
    """PyNccl's methods by way of gloo, 20 ms slower, and one call with a wrong result."""

    calls = 0
    device = torch.device("cpu")

    def all_reduce(self, tensor: torch.Tensor, op: Any, stream: None) -> torch.Tensor:
        time.sleep(0.02)
        result = lasting(tensor.clone())
        dist.all_reduce(result, op)
        self.calls += 1
        return result + (self.calls == WRONG)

    def all_to_all_single(self, received: torch.Tensor, sent: torch.Tensor, *_: Any) -> None:
        raise RuntimeError("not in this stand-in")


def rank_main(rank: int, port: str, alone: bool) -> None:
    from traceana_capture.agent.carriers import PyNccl, Torch
    from traceana_capture.agent.paired import PAIRS

    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    PAIRS.add((0, 1), {"torch": Torch(), "pynccl": PyNccl(StandIn())}, None)
    mine = lasting(torch.full((256,), float(rank)))
    for _ in range(CALLS):
        value = lasting(mine.clone())
        dist.all_reduce(value)
        assert value.eq(1.0).all(), "the program must go on with its own result"
    if rank == 1 and alone:
        # Its window gives way, and the other rank's does not.
        with torch.profiler.profile():
            pass
    for _ in range(CALLS if alone else 0):
        value = lasting(mine.clone())
        dist.all_reduce(value)
        assert value.eq(1.0).all()
    dist.broadcast(mine, 0)
    exchanged = lasting(torch.empty(256))
    dist.all_to_all_single(exchanged, mine)
    dist.destroy_process_group()


if __name__ == "__main__":
    sys.exit(run_both(rank_main, sys.argv[1], "alone" in sys.argv, start="spawn"))
