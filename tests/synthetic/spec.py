"""What a synthetic run does: plain values that a test states."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tests.synthetic.kineto import LAUNCH_LATENCY_NS, CollectiveArgs, Group

ITEM_BYTES = {"BFloat16": 2, "Half": 2, "Float": 4, "Int": 4, "Long": 8, "Byte": 1, "Float8_e4m3fn": 1}
C10D_NAMES = {
    "all_reduce": "allreduce",
    "all_gather": "_allgather_base",
    "reduce_scatter": "_reduce_scatter_base",
    "all_to_all": "all_to_allv",
    "broadcast": "broadcast",
    "reduce": "reduce",
    "send_recv": "send",
}
_NCCL_KERNELS = {
    "all_reduce": "AllReduce_Sum_bf16_RING_LL",
    "all_gather": "AllGather_RING_LL",
    "reduce_scatter": "ReduceScatter_Sum_bf16_RING_LL",
    "all_to_all": "SendRecv",
    "broadcast": "Broadcast_RING_LL",
    "reduce": "Reduce_Sum_bf16_RING_LL",
    "send_recv": "SendRecv",
}
_OTHER_KERNELS = {
    "rccl": "ncclDevKernel_Generic(ncclDevKernelArgsStorage<4096ul>)",
    "custom": "void vllm::cross_device_reduce_1stage<__nv_bfloat16, 2>(vllm::RankData*, vllm::RankSignals, int, int)",
    "symm_mem": "void (anonymous namespace)::multimem_all_reduce_kernel<c10::BFloat16, 16>(c10::BFloat16*)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One collective of every step. `nelems` is the whole message, as nccl-tests counts it.

    `groups` partition the ranks that take part; none means the world. `delays_ns` makes ranks arrive late.
    `overlap_ns` of compute run on a side stream under the collective. `library` is nccl, rccl, custom or symm_mem.
    `pairs` are the sources and destinations of a send_recv, each a call of its own. `sent` is how many elements each
    rank of the group sends in an uneven all_to_all (in equal parts but for the last) or all_gather.
    """

    op: str
    nelems: int
    dtype: str = "BFloat16"
    transfer_ns: int = 300_000
    groups: tuple[tuple[int, ...], ...] = ()
    delays_ns: Mapping[int, int] = field(default_factory=dict)
    overlap_ns: int = 0
    library: str = "nccl"
    metadata: bool = True
    kernel_name: str | None = None
    pairs: tuple[tuple[int, int], ...] = ()
    sent: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        assert self.op in C10D_NAMES
        assert bool(self.pairs) == (self.op == "send_recv")
        assert not self.sent or self.op in ("all_to_all", "all_gather")
        assert self.overlap_ns <= self.transfer_ns, "the compute under a collective must not outlast it"
        assert self.transfer_ns >= 4 * LAUNCH_LATENCY_NS, "the next step is launched while this call runs"

    @property
    def message_bytes(self) -> int:
        """The whole message."""
        return self.nelems * ITEM_BYTES[self.dtype]

    @property
    def kernel(self) -> str:
        """The name of its kernel."""
        nccl = f"ncclDevKernel_{_NCCL_KERNELS[self.op]}(ncclDevKernelArgsStorage<4096ul>)"
        return self.kernel_name or _OTHER_KERNELS.get(self.library, nccl)

    def args_of_rank(self, args: CollectiveArgs, rank: int) -> CollectiveArgs:
        """What c10d records on one rank, where ranks differ."""
        if self.pairs:
            sends = rank == args.source
            return replace(args, source=None) if sends else replace(args, name="recv", destination=None)
        if not self.sent:
            return args
        place, size = args.group.ranks.index(rank), len(self.sent)
        if self.op == "all_gather":
            # torch broadcasts the parts one by one, and takes all of them to be as long as its own.
            return replace(args, name="all_gather", in_nelems=self.sent[place], out_nelems=size * self.sent[place])
        given, received = _splits(self.sent[place], size), tuple(_splits(sent, size)[place] for sent in self.sent)
        return replace(args, in_nelems=sum(given), out_nelems=sum(received), in_split=given, out_split=received)

    def args(self, group: Group, sequence: int | None) -> CollectiveArgs:
        """What c10d records about it: how much goes in and comes out of a rank."""
        part = self.nelems // len(group.ranks)
        return CollectiveArgs(
            name=C10D_NAMES[self.op],
            in_nelems=part if self.op == "all_gather" else self.nelems,
            out_nelems=part if self.op == "reduce_scatter" else self.nelems,
            dtype=self.dtype,
            group=group,
            sequence=sequence,
        )


def _splits(nelems: int, parts: int) -> tuple[int, ...]:
    """Equal parts, of which the last takes the rest."""
    part = nelems // parts
    return (*[part] * (parts - 1), nelems - part * (parts - 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """In every step each rank copies memory, then computes and pauses before each call.

    Ranks fill the hosts in blocks, one entry of `host_clocks_ns` each. `spread_ns` scatters arrivals, `end_jitter_ns`
    ends. `late_windows` maps a rank to how many of its collectives passed before its profiler started, `lost` to which
    of those that it recorded are not in its file. `host_drifts_ppm` makes hosts' clocks run fast. Where a step is
    `launched_ahead`, the host launches all of it at its start and waits for the device at its end; else it launches
    everything just before it begins. `step_pause_ns` is what the host does between steps.
    """

    world_size: int
    calls: tuple[Call, ...]
    steps: int = 4
    host_clocks_ns: tuple[int, ...] = (0,)
    spread_ns: int = 20_000
    end_jitter_ns: int = 0
    compute_ns: int = 200_000
    pause_ns: int = 10_000
    memory_ns: int = 30_000
    named_hosts: bool = True
    """Whether the files of several hosts are named for them."""
    late_windows: Mapping[int, int] = field(default_factory=dict)
    lost: Mapping[int, frozenset[int]] = field(default_factory=dict)
    host_drifts_ppm: tuple[float, ...] = ()
    missing_ranks: frozenset[int] = frozenset()
    sequence_numbers: bool = False
    gpu: str | None = "NVIDIA H200"
    """None makes a run of gloo on CPUs."""
    bases_differ: bool = False
    """Ranks whose files count their times from different bases."""
    step_name: str = "denoise_step"
    launched_ahead: bool = False
    step_pause_ns: int = 0
    seed: int = 1

    def host(self, rank: int) -> int:
        """The host that a rank runs on."""
        return rank * len(self.host_clocks_ns) // self.world_size

    def clock_ns(self, rank: int) -> int:
        """How far a rank's clock is ahead of the true one."""
        return self.host_clocks_ns[self.host(rank)]

    def drift_ns(self, rank: int, elapsed_ns: int) -> int:
        """How much a rank's clock has gained since the run began."""
        return round(elapsed_ns * self.host_drifts_ppm[self.host(rank)] / 1e6) if self.host_drifts_ppm else 0

    def file_name(self, rank: int) -> str:
        """`rankN`, or host, process and time as `tensorboard_trace_handler` names files."""
        if len(self.host_clocks_ns) == 1 or not self.named_hosts:
            return f"rank{rank}.json.gz"
        return f"node{self.host(rank)}_{4000 + rank}.17908570{rank:02}123.pt.trace.json.gz"

    def members(self, call: Call) -> tuple[tuple[int, ...], ...]:
        """The ranks that make a call together, each a collective of its own."""
        return call.pairs or call.groups or (tuple(range(self.world_size)),)

    def process_groups(self) -> tuple[Group, ...]:
        """The world first, then the calls' groups in order of appearance."""
        world = Group(name="0", description="default_pg", ranks=tuple(range(self.world_size)))
        parts = dict.fromkeys(ranks for call in self.calls for ranks in call.groups if ranks != world.ranks)
        return (world, *(Group(name=str(n), description="mesh_tp", ranks=ranks) for n, ranks in enumerate(parts, 1)))
