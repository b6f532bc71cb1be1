"""torch.distributed: NCCL on GPUs, gloo on CPUs."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
import torch.distributed as dist

from traceana.bench.backends import Call
from traceana.bench.buffers import Buffers
from traceana.bench.world import World

# Torch 2.13 renames both, and warns of the names before.
_all_gather: Any = getattr(dist, "all_gather_single", None) or dist.all_gather_into_tensor
_reduce_scatter: Any = getattr(dist, "reduce_scatter_single", None) or dist.reduce_scatter_tensor


class C10d:
    """The functions that a program calls, synchronous ones."""

    name = "torch"

    def __init__(self, world: World) -> None:
        self.world = world
        nccl = ".".join(map(str, torch.cuda.nccl.version())) if world.on_gpu else ""  # type: ignore[no-untyped-call]
        self.detail = f"torch {torch.__version__} " + (f"NCCL {nccl}" if nccl else "gloo")

    def call(self, buffers: Buffers) -> Call | str:
        """See Backend."""
        made: Mapping[str, Callable[[Buffers], Call]] = {
            "all_reduce": self._all_reduce,
            "all_gather": lambda b: Call(run=partial(_all_gather, b.target, b.source)),
            "reduce_scatter": lambda b: Call(run=partial(_reduce_scatter, b.target, b.source)),
            "broadcast": self._broadcast,
            "reduce": self._reduce,
            "all_to_all": lambda b: Call(run=partial(dist.all_to_all_single, b.target, b.source)),
            "all_to_allv": lambda b: Call(
                run=partial(dist.all_to_all_single, b.target, b.source, [*b.received], [*b.sent])
            ),
            "send_recv": lambda b: self._exchange(b, (self.world.rank + 1) % self.world.size),
            "send_recv_pair": lambda b: self._exchange(b, self.world.rank ^ 1),
            "all_to_all_4d": self._ulysses,
            "all_to_all_4d_copies": self._ulysses_copies,
        }
        return made[buffers.op](buffers)

    def _all_reduce(self, buffers: Buffers) -> Call:
        return _in_place(buffers, partial(dist.all_reduce, buffers.target))

    def _broadcast(self, buffers: Buffers) -> Call:
        return _in_place(buffers, partial(dist.broadcast, buffers.target, 0))

    def _reduce(self, buffers: Buffers) -> Call:
        return _in_place(buffers, partial(dist.reduce, buffers.target, 0))

    def _exchange(self, buffers: Buffers, to: int) -> Call:
        sender = (self.world.rank - 1) % self.world.size if buffers.op == "send_recv" else to

        def run() -> None:
            pair = [dist.P2POp(dist.isend, buffers.source, to), dist.P2POp(dist.irecv, buffers.target, sender)]
            for work in dist.batch_isend_irecv(pair):
                work.wait()

        return Call(run=run)

    def _ulysses(self, buffers: Buffers) -> Call:
        return Call(run=partial(_scatter_heads, buffers.source, buffers.target, self.world.size, exchange=True))

    def _ulysses_copies(self, buffers: Buffers) -> Call:
        return Call(run=partial(_scatter_heads, buffers.source, buffers.target, self.world.size, exchange=False))


def _in_place(buffers: Buffers, run: Callable[[], object]) -> Call:
    """C10d has these operations in place alone."""
    return Call(run=run, load=partial(buffers.target.copy_, buffers.source), in_place=True)


def _scatter_heads(source: torch.Tensor, target: torch.Tensor, size: int, *, exchange: bool) -> None:
    """Ulysses before attention: [b, s/p, h, d] to [b, s, h/p, d], with the layout copies that all-to-all needs.

    As in DeepSpeed Ulysses (https://arxiv.org/abs/2309.14509) and sglang's all_to_all_4D.
    """
    batch, sequence, heads, width = source.shape
    sent = source.view(batch, sequence, size, heads // size, width).permute(2, 1, 0, 3, 4).contiguous()
    received = torch.empty_like(sent)
    if exchange:
        dist.all_to_all_single(received, sent)
    ordered = received.view(size * sequence, batch, heads // size, width).transpose(0, 1)
    target.copy_(ordered)
