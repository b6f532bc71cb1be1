"""A program of many ranks, played call by call: hosts launch, streams run in order, collectives meet.

Unlike `Run`, which states when calls begin, this one states what every rank does; when things happen follows from it.
So a cause can be planted where it arises, and what it costs is what an analysis has to find.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tests.synthetic.kineto import (
    LAUNCH_LATENCY_NS,
    MAIN_STREAM,
    CollectiveArgs,
    EventWriter,
    Group,
    document,
    write_document,
)

FIRST_NS = 4_636_077_895_000_000
ISSUE_NS = 1_000
KERNEL = "void at::native::(anonymous namespace)::usual_kernel<float>(int)"
CALL = "ncclDevKernel_AllReduce_Sum_bf16_RING_LL(ncclDevKernelArgsStorage<4096ul>)"
TRANSFER_NS = 100_000


@dataclass(slots=True)
class Program:
    """`sizes` are those of the groups of neighbours beside the world, each of which divides the world's."""

    world_size: int
    sizes: tuple[int, ...] = ()
    host_ns: list[int] = field(init=False)
    free_ns: dict[tuple[int, int], int] = field(default_factory=dict)
    writers: list[EventWriter] = field(init=False)
    groups: tuple[Group, ...] = field(init=False)
    _begun_ns: list[int] = field(init=False)
    _steps: int = 0
    _calls: int = 0

    def __post_init__(self) -> None:
        self.host_ns = [FIRST_NS] * self.world_size
        self._begun_ns = list(self.host_ns)
        self.writers = [EventWriter(rank=rank, device=rank % 8, pid=4000 + rank) for rank in range(self.world_size)]
        ranks = tuple(range(self.world_size))
        parts = [ranks[at : at + size] for size in self.sizes for at in range(0, self.world_size, size)]
        self.groups = (
            Group(name="0", description="default_pg", ranks=ranks),
            *(Group(name=str(number), description="mesh_tp", ranks=part) for number, part in enumerate(parts, 1)),
        )

    @property
    def ranks(self) -> range:
        return range(self.world_size)

    def ranges(self, size: int) -> list[range]:
        """The ranks of the groups of that size."""
        return [range(at, at + size) for at in range(0, self.world_size, size)]

    def host(self, rank: int, ns: int, operator: str | None = None) -> None:
        """The host is busy, in an operator where one is named."""
        if operator:
            self.writers[rank].host_span("cpu_op", operator, self.host_ns[rank], ns)
        self.host_ns[rank] += ns

    def synchronize(self, rank: int) -> None:
        """The host waits for all that it has launched."""
        ends = [end for (one, _), end in self.free_ns.items() if one == rank]
        self.host_ns[rank] = max([self.host_ns[rank], *ends])

    def compute(self, rank: int, ns: int, *, stream: int = MAIN_STREAM, name: str = KERNEL) -> None:
        """A kernel, launched now."""
        self._activity(rank, "kernel", name, stream, ns)

    def copy(self, rank: int, ns: int, *, stream: int = MAIN_STREAM) -> None:
        """A copy from the host, launched now."""
        self._activity(rank, "gpu_memcpy", "Memcpy HtoD (Pinned -> Device)", stream, ns)

    def wait(self, rank: int, *, stream: int, on: int) -> None:
        """cudaStreamWaitEvent: what is launched on `stream` from here on waits for all of `on`."""
        self.stall(rank, max(self._free(rank, on) - self._free(rank, stream), 0), stream=stream)

    def stall(self, rank: int, ns: int, *, stream: int = MAIN_STREAM) -> None:
        """A stream is held by something that no trace shows."""
        self.free_ns[rank, stream] = self._free(rank, stream) + ns

    def call(
        self, ranks: Iterable[int], *, ns: int = TRANSFER_NS, stream: int = MAIN_STREAM, nelems: int = 1 << 20
    ) -> None:
        """An all-reduce: all leave together, `ns` after the last has come."""
        members = tuple(ranks)
        group = next(one for one in self.groups if one.ranks == members)
        self._calls += 1
        launched = {rank: self._launch(rank) for rank in members}
        start = {rank: max(self._free(rank, stream), launched[rank] + LAUNCH_LATENCY_NS) for rank in members}
        leave = max(start.values()) + ns
        args = CollectiveArgs(
            name="allreduce",
            in_nelems=nelems,
            out_nelems=nelems,
            dtype="BFloat16",
            group=group,
            sequence=self._calls,
        )
        for rank in members:
            self.writers[rank].activity(
                "kernel",
                CALL,
                start[rank],
                leave - start[rank],
                stream=stream,
                args=args.as_args(),
                launched_ns=launched[rank],
            )
            self.free_ns[rank, stream] = leave

    def end_step(self) -> None:
        """Draw the step's span on every rank, and begin the next step when the devices are done."""
        for rank in self.ranks:
            begun = self._begun_ns[rank]
            name = f"train_step {self._steps}"
            self.writers[rank].host_span("user_annotation", name, begun, self.host_ns[rank] - begun)
            self.synchronize(rank)
            self._begun_ns[rank] = self.host_ns[rank]
        self._steps += 1

    def begin_late(self, rank: int, ns: int) -> None:
        """The rank's recording, and all that it does, begins later."""
        self.host_ns[rank] += ns
        self._begun_ns[rank] += ns

    def write(self, folder: Path) -> Path:
        """One file a rank."""
        folder.mkdir(parents=True, exist_ok=True)
        for writer in self.writers:
            groups = tuple(group for group in self.groups if writer.rank in group.ranks)
            content = document(writer, world_size=self.world_size, groups=groups, gpu="NVIDIA H200")
            write_document(folder / f"rank{writer.rank}.json", content)
        return folder

    def _free(self, rank: int, stream: int) -> int:
        return self.free_ns.get((rank, stream), FIRST_NS)

    def _launch(self, rank: int) -> int:
        launched = self.host_ns[rank]
        self.host_ns[rank] += ISSUE_NS
        return launched

    def _activity(self, rank: int, category: str, name: str, stream: int, ns: int) -> None:
        launched = self._launch(rank)
        start = max(self._free(rank, stream), launched + LAUNCH_LATENCY_NS)
        self.writers[rank].activity(category, name, start, ns, stream=stream, launched_ns=launched)
        self.free_ns[rank, stream] = start + ns
