"""The calls of vLLM's communicators that vllm_block.py makes, each with a size of its own and a known result."""

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist

WORLD = 2
WIDE = 1024
UNEVEN = (10, 22)
BFLOAT16, FLOAT = torch.bfloat16, torch.float32


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call, c10d's word for it, the elements that this rank sends and receives, and what it gives and should give."""

    name: str
    word: str
    sent: int
    received: int
    run: Callable[[], Any]
    result: Any
    graph: bool = True


def numbers(rows: int, rank: int, columns: int = WIDE, dtype: torch.dtype = BFLOAT16) -> torch.Tensor:
    """Small whole numbers, which all types hold exactly, and of which each rank has others."""
    return (torch.arange(rows * columns).reshape(rows, columns) % 8 + rank).to(dtype)


def total(rows: int, dtype: torch.dtype = BFLOAT16) -> torch.Tensor:
    """All ranks' numbers added up."""
    return sum(numbers(rows, rank, dtype=dtype) for rank in range(WORLD))  # type: ignore[return-value]


def joined(rows: int, columns: int = WIDE, dtype: torch.dtype = BFLOAT16) -> torch.Tensor:
    """All ranks' numbers one after the other."""
    return torch.cat([numbers(rows, rank, columns, dtype) for rank in range(WORLD)])


class Calls:
    """One rank's calls on a group."""

    def __init__(self, group: Any, device: torch.device) -> None:
        self.group, self.device = group, device
        self.rank, self.of = dist.get_rank(), group.device_communicator

    def all(self) -> list[Call]:
        """In the order in which both ranks make them."""
        made = [*self.reductions(), *self.even(), self.broadcast(), *self.uneven(), *self.several(), *self.between()]
        return made if self.of.pynccl_comm.disabled else [*made, *self.pynccl_alone()]

    def mine(self, rows: int, columns: int = WIDE, dtype: torch.dtype = BFLOAT16) -> torch.Tensor:
        """This rank's numbers on the device."""
        return numbers(rows, self.rank, columns, dtype).to(self.device)

    def reductions(self) -> list[Call]:
        """All-reduces of several types, and of a size that the custom one does not take."""
        kinds = (("small", 64, BFLOAT16), ("float", 32, FLOAT), ("whole", 3, torch.int64), ("large", 1 << 13, BFLOAT16))
        return [self._reduction(f"all_reduce {name}", rows, dtype, self.group) for name, rows, dtype in kinds]

    def flashinfer(self) -> list[Call]:
        """All-reduces of FlashInfer that nothing dispatched, where they are on: a prepared shape and two others."""
        kinds = {"fi_ar_comm": ((56, torch.float16), (2, FLOAT)), "fi_pcie_ipc_ar_comm": ((4, BFLOAT16),)}
        ways = {way: getattr(self.of, way) for way in kinds}
        on = {way: by for way, by in ways.items() if by is not None and not by.disabled}
        return [
            self._reduction(f"{way} {rows}", rows, dtype, by) for way, by in on.items() for rows, dtype in kinds[way]
        ]

    def _reduction(self, name: str, rows: int, dtype: torch.dtype, by: Any) -> Call:
        tensor, size = self.mine(rows, dtype=dtype), rows * WIDE
        return Call(
            name=name,
            word="allreduce",
            sent=size,
            received=size,
            run=lambda: by.all_reduce(tensor),
            result=total(rows, dtype),
        )

    def even(self) -> list[Call]:
        """Gathers and scatters of equal parts, by the custom all-reduce's class and by the communicator's choice."""
        of, group = self.of, self.group
        return [
            self._gather("custom_all_gather", 48, of.custom_all_gather),
            self._scatter("custom_reduce_scatter", 96, of.custom_reduce_scatter),
            self._gather("all_gather", 40, lambda tensor: group.all_gather(tensor, 0)),
            self._scatter("reduce_scatter", 80, lambda tensor: group.reduce_scatter(tensor, 0)),
        ]

    def _gather(self, name: str, rows: int, run: Callable[[torch.Tensor], Any]) -> Call:
        tensor, sent = self.mine(rows), rows * WIDE
        return Call(
            name=name,
            word="_allgather_base",
            sent=sent,
            received=WORLD * sent,
            run=lambda: run(tensor),
            result=joined(rows),
        )

    def _scatter(self, name: str, rows: int, run: Callable[[torch.Tensor], Any]) -> Call:
        tensor, sent = self.mine(rows), rows * WIDE
        return Call(
            name=name,
            word="_reduce_scatter_base",
            sent=sent,
            received=sent // WORLD,
            run=lambda: run(tensor),
            result=total(rows).chunk(WORLD)[self.rank],
        )

    def broadcast(self) -> Call:
        """From rank 1."""
        told, size = self.mine(24), 24 * WIDE

        def run() -> Any:
            told.copy_(numbers(24, self.rank))
            return self.of.broadcast(told, 1)

        return Call(
            name="broadcast", word="broadcast", sent=size, received=size, run=run, result=numbers(24, 1), graph=False
        )

    def uneven(self) -> list[Call]:
        """A gather and a scatter of parts that differ."""
        own, whole = UNEVEN[self.rank] * WIDE, sum(UNEVEN) * WIDE
        part, spread = self.mine(UNEVEN[self.rank]), self.mine(sum(UNEVEN))
        return [
            Call(
                name="all_gatherv",
                word="_allgather_base",
                sent=own,
                received=whole,
                run=lambda: self.group.all_gatherv(part, 0, list(UNEVEN)),
                result=torch.cat([numbers(rows, rank) for rank, rows in enumerate(UNEVEN)]),
            ),
            Call(
                name="reduce_scatterv",
                word="_reduce_scatter_base",
                sent=whole,
                received=own,
                run=lambda: self.group.reduce_scatterv(spread, 0, list(UNEVEN)),
                result=self._own_total(),
            ),
        ]

    def _own_total(self) -> torch.Tensor:
        return total(sum(UNEVEN)).split_with_sizes(UNEVEN)[self.rank]

    def several(self) -> list[Call]:
        """Gathers of several tensors in one group of NCCL's: of several types, in bytes, and of one."""
        kinds = ((20, WIDE, BFLOAT16), (20, 8, FLOAT), (20, 8, torch.int32))
        unlike, alike = [self.mine(*kind) for kind in kinds], [self.mine(12), self.mine(6)]
        size, elements = sum(tensor.nbytes for tensor in unlike), 18 * WIDE
        return [
            Call(
                name="all_gatherv of several",
                word="_allgather_base",
                sent=size,
                received=WORLD * size,
                run=lambda: self.group.all_gatherv(unlike, 0),
                result=[joined(*kind) for kind in kinds],
            ),
            Call(
                name="all_gatherv of two",
                word="_allgather_base",
                sent=elements,
                received=WORLD * elements,
                run=lambda: self.group.all_gatherv(alike, 0),
                result=[joined(12), joined(6)],
                graph=False,
            ),
        ]

    def between(self) -> list[Call]:
        """A gather to rank 0, and what it sends to rank 1."""
        collected, ring, size = self.mine(16), self.mine(28), 28 * WIDE

        def exchange() -> Any:
            return self.of.recv(ring.size(), ring.dtype, 0) if self.rank else self.of.send(ring, 1)

        word = "recv" if self.rank else "send"
        return [
            Call(
                name="gather",
                word="gather",
                sent=16 * WIDE,
                received=32 * WIDE,
                run=lambda: self.of.gather(collected, 0, 0),
                result=None if self.rank else joined(16),
                graph=False,
            ),
            Call(
                name=word,
                word=word,
                sent=size,
                received=size,
                run=exchange,
                result=numbers(28, 0) if self.rank else None,
                graph=False,
            ),
        ]

    def pynccl_alone(self) -> list[Call]:
        """As reduce_scatterv goes with VLLM_BATCH_INVARIANT on more than two ranks: a reduce and a scatter."""
        rows, own = sum(UNEVEN), UNEVEN[self.rank]
        spread, reduced = self.mine(rows), torch.empty_like(self.mine(rows))
        output = torch.zeros(own, WIDE, dtype=BFLOAT16, device=self.device)

        def reduce() -> Any:
            self.of.pynccl_comm.reduce(reduced, spread, 0)
            return None if self.rank else reduced

        def scatter() -> Any:
            self.of.pynccl_comm.scatter(output, reduced, list(UNEVEN), 0)
            return output

        away = UNEVEN[1] * WIDE
        return [
            Call(
                name="pynccl reduce",
                word="reduce",
                sent=rows * WIDE,
                received=rows * WIDE,
                run=reduce,
                result=None if self.rank else total(rows),
            ),
            Call(
                name="pynccl scatter",
                word="recv" if self.rank else "send",
                sent=0 if self.rank else away,
                received=away if self.rank else 0,
                run=scatter,
                result=self._own_total(),
                graph=False,
            ),
        ]
