"""Two gloo ranks that set up pairs, of which rank 1 cannot do its part of one stage; prints what each rank saw.

A case is the stage that fails on rank 1, or "" for none.
"""

import datetime
import gc
import json
import sys
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from traceana_capture.agent import agreement
from traceana_capture.agent.call_notes import CALLS
from traceana_capture.agent.carriers import Carrier, Torch, Values
from traceana_capture.agent.paired import Pairs
from traceana_capture.agent.paired_call import Room

from tests.integration.gloo_tensor import lasting
from tests.integration.two_ranks import run_both

CASES = ("", "room", "allocate", "share", "issue")
CALLS_OF_A_CASE = 4


class Failing(Carrier):
    """Knows the result, as a GPU's call it waits for nobody; what it set up is gone after two calls."""

    def __init__(self, fails: str, sharing: Any) -> None:
        self.fails, self.sharing, self.issued = fails, sharing, 0
        self.did: list[str] = []

    def do(self, stage: str) -> None:
        self.did.append(stage)
        if stage == self.fails:
            raise MemoryError(f"none for {stage}")

    def carries(self, function: str, values: Values) -> bool:
        return True

    def makes_result(self, function: str) -> bool:
        self.do("room")
        return True

    def is_ready(self, values: Values) -> bool:
        return self.issued != 2

    def allocate(self, values: Values) -> None:
        self.do("allocate")

    def share(self, values: Values) -> None:
        self.do("share")
        dist.all_gather_object([None, None], 0, group=self.sharing)

    def issue(self, function: Callable[..., Any], values: Values, received: str) -> torch.Tensor:
        self.do("issue")
        self.issued += 1
        result: torch.Tensor = values[received]
        return result.fill_(1)


def tried(case: str, rank: int) -> dict[str, Any]:
    """What one rank sees of a case."""
    pairs = Pairs()
    pairs.operations = {"all_reduce": ("all_reduce", ("torch", "other"))}
    other = Failing(case if rank == 1 else "", agreement.sharing_group([0, 1]))
    pairs.add((0, 1), {"torch": Torch(), "other": other}, None)
    tensors = [lasting(torch.full((8,), float(rank))) for _ in range(CALLS_OF_A_CASE)]
    kept = []
    for tensor in tensors:
        pairs.run(dist.all_reduce, {"tensor": tensor}, "tensor")
        assert tensor.eq(rank).all(), "the program's own tensor stays as it is"
        dist.all_reduce(tensor)
        assert tensor.eq(1).all(), "the program goes on with its own result"
        kept.append(sum(len(peer.carriers) for peer in pairs.peers.values()))
    rooms = sum(isinstance(one, Room) for one in gc.get_objects())
    measured = [(pair.number, bool(pair.agree)) for pair in pairs.measured]
    known = len(pairs.peers)
    pairs.release()
    left = [peer.carriers for peer in pairs.peers.values() if peer.carriers] + pairs.measured
    return {
        "did": other.did,
        "ended": pairs.ended,
        "measured": measured,
        "peers": known,
        "left": len(left),
        "rooms": rooms,
        "kept": kept,
    }


def rank_main(rank: int, port: str) -> None:
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    CALLS.recording = True
    gc.disable()  # what only a collection would give back is still there
    agreement.SHARED_WITHIN = datetime.timedelta(seconds=1)
    seen = {case: tried(case, rank) for case in CASES}
    sys.stdout.write(json.dumps([rank, seen]) + "\n")
    sys.stdout.flush()
    dist.destroy_process_group()


if __name__ == "__main__":
    sys.exit(run_both(rank_main, sys.argv[1]))
