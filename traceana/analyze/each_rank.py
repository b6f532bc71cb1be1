"""One thing of every rank, looked up when it is asked for: of thousands of ranks not all columns fit into memory."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Generic, TypeVar

Source = TypeVar("Source")
Value = TypeVar("Value")


class EachRank(Mapping[int, Value], Generic[Source, Value]):
    """`of` what stands behind each rank, or behind those that are `chosen`; nothing is kept."""

    def __init__(
        self, ranks: Mapping[int, Source], of: Callable[[Source], Value], chosen: Iterable[int] | None = None
    ) -> None:
        self._ranks = ranks
        self._of = of
        self._chosen = dict.fromkeys(ranks if chosen is None else chosen)

    def __getitem__(self, rank: int) -> Value:
        if rank not in self._chosen:
            raise KeyError(rank)
        return self._of(self._ranks[rank])

    def __contains__(self, rank: object) -> bool:
        return rank in self._chosen

    def __iter__(self) -> Iterator[int]:
        return iter(self._chosen)

    def __len__(self) -> int:
        return len(self._chosen)
