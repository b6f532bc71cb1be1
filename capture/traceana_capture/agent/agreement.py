"""What ranks decide together for `--paired`, on the host: a rank that goes on alone would leave the others waiting."""

import datetime
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.distributed as dist

from traceana_capture.agent.call_notes import CALLS

# How long ranks wait for one that failed between the exchanges of a shared step; all begin one at the same moment, and
# compiling sglang's kernels in it took half a minute.
SHARED_WITHIN = datetime.timedelta(minutes=2)
# Votes; the lowest counts.
OVER, NOT_NOW, NEW, READY = -1, 0, 1, 2


class Elsewhere(Exception):
    """Another rank could not do its part, and says why there."""


class Lost(Exception):
    """The ranks cannot vote any more: one is gone, or did not come in time."""


def agreed(vote: int, host_group: Any) -> int:
    """The lowest vote of all ranks; raises Lost."""
    votes = torch.tensor([vote], device="cpu")
    try:
        dist.all_reduce(votes, op=dist.ReduceOp.MIN, group=host_group)
    except Exception as error:
        raise Lost(f"the ranks could not agree: {error}") from error
    return int(votes.item())


def together(step: Callable[[], Any], host_group: Any) -> Any:
    """Do this rank's part and give its result, where all ranks could do theirs.

    Raises what the step raised, Elsewhere where another rank's did, or Lost.
    """
    failed: Exception | None = None
    result = None
    try:
        result = step()
    except Exception as error:
        failed = error
    try:
        if agreed(READY if failed is None else OVER, host_group) == READY:
            return result
        raise failed or Elsewhere
    finally:
        # What is raised holds this frame, and with it the call's tensors: a circle would keep them until a collection.
        del failed


def sharing_group(ranks: Sequence[int]) -> Any:
    """A group of these ranks on the host that waits for none of them longer than SHARED_WITHIN; all of them call this.

    Votes are elsewhere: a rank that failed in the midst of an exchange can still say so.
    """
    with CALLS.inside:
        return dist.new_group(
            list(ranks), backend="gloo", timeout=SHARED_WITHIN, use_local_synchronization=True, group_desc="traceana"
        )
