"""The messages of each operation, and what must come out of them.

Sizes are nccl-tests' (https://github.com/NVIDIA/nccl-tests/blob/master/doc/PERFORMANCE.md): the whole over all ranks
for operations that gather or scatter. Values are small integers, so that sums are exact in every dtype.
"""

from collections.abc import Sequence

import msgspec
import torch

from traceana.bench.plan import Message
from traceana.bench.world import World

_MODULUS = 7


class Buffers(msgspec.Struct, frozen=True, kw_only=True):
    """One rank's tensors of one message; `sent` and `received` are split sizes in elements, where they differ."""

    op: str
    source: torch.Tensor
    target: torch.Tensor
    sent: tuple[int, ...] = ()
    received: tuple[int, ...] = ()

    @property
    def in_place(self) -> bool:
        """Whether source and target share memory."""
        return self.source.untyped_storage().data_ptr() == self.target.untyped_storage().data_ptr()


def allocate(message: Message, world: World, dtype: torch.dtype, *, in_place: bool, imbalance: float) -> Buffers:
    """New buffers for one message; the sizes are rounded down to whole elements a rank."""
    if message.shape:
        source = torch.zeros(message.shape, dtype=dtype, device=world.device)
        batch, sequence, heads, size = message.shape
        target = torch.zeros(
            (batch, sequence * world.size, heads // world.size, size), dtype=dtype, device=world.device
        )
        return Buffers(op=message.op, source=source, target=target)
    sent, received = _splits(message.op, elements(message, world, dtype), world, imbalance)
    a, b = _counts(message.op, elements(message, world, dtype), world)
    if sent:
        a, b = sum(sent), sum(received)
    source = torch.zeros(a, dtype=dtype, device=world.device)
    target = _target(message.op, source, b, world, in_place)
    if in_place and message.op == "all_gather":
        source = target[world.rank * a : (world.rank + 1) * a]
    return Buffers(op=message.op, source=source, target=target, sent=sent, received=received)


def elements(message: Message, world: World, dtype: torch.dtype) -> int:
    """Elements of the message, a multiple of the number of ranks."""
    whole = message.message_bytes // dtype.itemsize
    return max(whole // world.size, 1) * world.size


def _counts(op: str, whole: int, world: World) -> tuple[int, int]:
    """Elements of the source and of the target."""
    if op == "all_gather":
        return whole // world.size, whole
    if op == "reduce_scatter":
        return whole, whole // world.size
    return whole, whole


def _target(op: str, source: torch.Tensor, count: int, world: World, in_place: bool) -> torch.Tensor:
    if in_place and op in ("all_reduce", "broadcast", "reduce"):
        return source
    if in_place and op == "reduce_scatter":
        return source[world.rank * count : (world.rank + 1) * count]
    return torch.zeros(count, dtype=source.dtype, device=source.device)


def _splits(op: str, whole: int, world: World, imbalance: float) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """For all_to_allv: rank 0 receives `imbalance` times the mean of what ranks receive, the others the rest alike."""
    if op != "all_to_allv":
        return (), ()
    to_first = min(round(whole / world.size * imbalance), whole)
    other = (whole - to_first) // max(world.size - 1, 1)
    to = [whole - other * (world.size - 1), *[other] * (world.size - 1)]
    return tuple(to), tuple([to[world.rank]] * world.size)


def pattern(rank: int, count: int, like: torch.Tensor) -> torch.Tensor:
    """What `rank` sends: small integers that tell ranks and places apart."""
    return ((torch.arange(count, device=like.device) + 3 * rank) % _MODULUS).to(like.dtype)


def fill(buffers: Buffers, world: World) -> None:
    """Give the source this rank's values and the target none."""
    if buffers.target.data_ptr() != buffers.source.data_ptr():
        buffers.target.fill_(-1)
    buffers.source.copy_(pattern(world.rank, buffers.source.numel(), buffers.source).view_as(buffers.source))


def is_right(buffers: Buffers, world: World) -> bool:
    """Whether the target holds what the operation must give, after `fill` and one call."""
    expected = _expected(buffers, world)
    return expected is None or torch.equal(buffers.target, expected.view_as(buffers.target))


def _expected(buffers: Buffers, world: World) -> torch.Tensor | None:
    """None where this rank is given nothing."""
    source, rank, size = buffers.source, world.rank, world.size
    count = buffers.target.numel() if buffers.op == "all_reduce" else source.numel()
    if buffers.op == "reduce" and rank != 0:
        return None
    if buffers.op in ("all_reduce", "reduce", "reduce_scatter"):
        total = torch.zeros(count, dtype=source.dtype, device=source.device)
        for one in range(size):
            total += pattern(one, count, source)
        return total if buffers.op != "reduce_scatter" else total.chunk(size)[rank]
    if buffers.op == "broadcast":
        return pattern(0, count, source)
    if buffers.op == "all_gather":
        return torch.cat([pattern(one, count, source) for one in range(size)])
    if buffers.op in ("send_recv", "send_recv_pair"):
        sender = (rank - 1) % size if buffers.op == "send_recv" else rank ^ 1
        return pattern(sender, count, source)
    return _exchanged(buffers, world, [pattern(one, count, source) for one in range(size)])


def _exchanged(buffers: Buffers, world: World, sources: Sequence[torch.Tensor]) -> torch.Tensor | None:
    rank, size = world.rank, world.size
    if buffers.op == "all_to_all_4d_copies":
        return None
    if buffers.op == "all_to_all_4d":
        whole = torch.cat([one.view_as(buffers.source) for one in sources], dim=1)
        return whole.chunk(size, dim=2)[rank].contiguous()
    splits = list(buffers.sent) or [buffers.source.numel() // size] * size
    return torch.cat([torch.split(one, splits)[rank] for one in sources])
