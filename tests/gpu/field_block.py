"""What training programs do, and the program's own count of it: each call's operation, size and group, from its shapes.

Usage: torchrun --nproc-per-node 2 field_block.py OUTPUT [STEPS]. Any number of ranks; NCCL where there is a GPU for
each, else gloo. Writes rankN.json.gz by torch.profiler and expected.rankN.json, what this rank issued in its window.
"""

import json
import os
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed import _functional_collectives
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor.debug import CommDebugMode
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

FLOAT_BYTES = 4
WARM_UP = 2
Step = Callable[[], None]


@dataclass(slots=True)
class Program:
    """A rank and its ledger. The sizes of all sections differ, so that an operation and its size name the section."""

    rank: int
    world: int
    device: torch.device
    ledger: Counter[tuple[str, int, int, int, int]] = field(default_factory=Counter)

    @property
    def nccl(self) -> bool:
        return self.device.type == "cuda"

    def floats(self, count: int) -> torch.Tensor:
        return torch.ones(count, device=self.device)

    def count(
        self, op: str, nelems: int, *, largest: int = 0, members: int = 1, ranks: int = 0, times: int = 1
    ) -> None:
        """Calls of this rank, `nelems` its message as nccl-tests counts it; of a send with a receive what it sends."""
        own, most = nelems * FLOAT_BYTES, max(nelems, largest) * FLOAT_BYTES
        self.ledger[op, own, most, ranks or self.world, members] += times


def data_parallel(program: Program) -> Step:
    """DDP. A weight is as large as a bucket may get, so each layer's gradient is a bucket."""
    layers = nn.Sequential(*(nn.Linear(512, 512, bias=False) for _ in range(3))).to(program.device)
    model = nn.parallel.DistributedDataParallel(layers, bucket_cap_mb=1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)

    def step() -> None:
        model(torch.ones(64, 512, device=program.device)).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        program.count("all_reduce", 512 * 512, times=3)

    return step


def fully_sharded(program: Program) -> Step:
    """FSDP2: each layer is gathered forward and again backward, then its gradient is scattered."""
    side = 48 * program.world
    model = nn.Sequential(*(nn.Linear(side, side, bias=False) for _ in range(3))).to(program.device)
    mesh = init_device_mesh(program.device.type, (program.world,))
    for layer in model:
        fully_shard(layer, mesh=mesh, reshard_after_forward=True)
    fully_shard(model, mesh=mesh)

    def step() -> None:
        model(torch.ones(64, side, device=program.device)).sum().backward()
        program.count("all_gather", side * side, times=6)
        program.count("reduce_scatter", side * side, times=3)

    return step


def tensor_parallel(program: Program) -> Step:
    """DTensor: the row-wise layer's output is reduced forward, the column-wise layer's input gradient backward."""
    model = nn.Sequential(nn.Linear(160, 320 * program.world), nn.Linear(320 * program.world, 160)).to(program.device)
    mesh = init_device_mesh(program.device.type, (program.world,))
    parallelize_module(model, mesh, {"0": ColwiseParallel(), "1": RowwiseParallel()})

    def step() -> None:
        model(torch.ones(192, 160, device=program.device, requires_grad=True)).sum().backward()
        program.count("all_reduce", 192 * 160, times=2)

    return step


def ring(program: Program) -> Step:
    """Each rank sends to the next and receives from the one before: one kernel of NCCL's, two calls of gloo's."""
    sent, received = program.floats(70_000), program.floats(70_000)
    following, preceding = (program.rank + 1) % program.world, (program.rank - 1) % program.world

    def step() -> None:
        operations = [dist.P2POp(dist.isend, sent, following), dist.P2POp(dist.irecv, received, preceding)]
        for work in dist.batch_isend_irecv(operations):
            work.wait()
        if program.nccl:
            program.count("send_recv", 70_000, members=2)
        else:
            program.count("send_recv", 70_000, times=2)

    return step


def hand_over(program: Program) -> Step:
    """Even ranks send to the odd ones after them, as pipelines do."""
    tensor = program.floats(36_000)
    peer = program.rank ^ 1

    def step() -> None:
        if peer >= program.world:
            return
        if program.rank % 2:
            dist.recv(tensor, peer)
        else:
            dist.send(tensor, peer)
        program.count("send_recv", 36_000)

    return step


def coalesced(program: Program) -> Step:
    """Three all-reduces that c10d makes one call of."""
    tensors = [program.floats(count) for count in (4096, 2048, 6144)]
    # gloo coalesces all-reduces, but knows no group of calls on a device.
    device = program.device if program.nccl else None

    def step() -> None:
        with dist._coalescing_manager(device=device):  # type: ignore[attr-defined]
            for tensor in tensors:
                dist.all_reduce(tensor)
        program.count("all_reduce", 4096 + 2048 + 6144)

    return step


def uneven(program: Program) -> Step:
    """An all-to-all and, with NCCL, an all-gather of parts that differ by rank."""
    splits = [[1000 * (rank + 1) + 100 * peer for peer in range(program.world)] for rank in range(program.world)]
    mine, theirs = splits[program.rank], [row[program.rank] for row in splits]
    parts = [2000 * (rank + 1) for rank in range(program.world)]

    def step() -> None:
        dist.all_to_all_single(program.floats(sum(theirs)), program.floats(sum(mine)), theirs, mine)
        program.count("all_to_all", sum(mine), largest=max(map(sum, splits)))
        if program.nccl:
            dist.all_gather([program.floats(part) for part in parts], program.floats(parts[program.rank]))
            program.count("all_gather", sum(parts))

    return step


def functional_collectives(program: Program) -> Step:
    """What torch.compile and DTensor issue."""
    functional: Any = _functional_collectives
    group, world = dist.group.WORLD, program.world

    def step() -> None:
        functional.wait_tensor(functional.all_reduce(program.floats(11_000), "sum", group))
        functional.wait_tensor(functional.all_gather_tensor(program.floats(12_000), 0, group))
        functional.wait_tensor(functional.reduce_scatter_tensor(program.floats(14_000 * world), "sum", 0, group))
        functional.wait_tensor(functional.all_to_all_single(program.floats(16_000 * world), None, None, group))
        program.count("all_reduce", 11_000)
        program.count("all_gather", 12_000 * world)
        program.count("reduce_scatter", 14_000 * world)
        program.count("all_to_all", 16_000 * world)

    return step


def two_groups(program: Program) -> Step:
    """The world's broadcast, then an all-reduce within each pair of ranks."""
    pairs = [[rank, rank + 1] for rank in range(0, program.world - 1, 2)]
    groups = {tuple(pair): dist.new_group(pair) for pair in pairs}
    mine = next((group for pair, group in groups.items() if program.rank in pair), None)

    def step() -> None:
        dist.broadcast(program.floats(30_000), 0)
        program.count("broadcast", 30_000)
        if mine is not None:
            dist.all_reduce(program.floats(5_000), group=mine)
            program.count("all_reduce", 5_000, ranks=2)

    return step


SECTIONS = (
    data_parallel, fully_sharded, tensor_parallel, ring, hand_over, coalesced, uneven, functional_collectives,
    two_groups,
)  # fmt: skip


def start() -> Program:
    rank, world, local = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
    cuda = torch.cuda.device_count() >= int(os.environ.get("LOCAL_WORLD_SIZE", world))
    device = torch.device("cuda", local) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)
    torch.set_num_threads(1)
    dist.init_process_group("nccl" if cuda else "gloo")
    return Program(rank=rank, world=world, device=device)


def all_sections(program: Program, sections: dict[str, Step]) -> None:
    for name, section in sections.items():
        with torch.profiler.record_function(name):
            section()
    if program.nccl:
        torch.cuda.synchronize()


def cross_check(program: Program, sections: dict[str, Step]) -> dict[str, dict[str, int]]:
    """Calls a step by torch's own counter, where it sees them: not those of DDP's reducer."""
    seen = {}
    for name, section in sections.items():
        with CommDebugMode() as mode:  # type: ignore[no-untyped-call]
            section()
        counts: Any = mode.get_comm_counts()
        seen[name] = {str(op): int(count) for op, count in counts.items() if count}
    return seen


def profiled(program: Program, sections: dict[str, Step], output: Path, steps: int) -> None:
    """One window of `steps` steps after a warm-up; the ledger holds these steps alone."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    activities += [torch.profiler.ProfilerActivity.CUDA] if program.nccl else []
    schedule = torch.profiler.schedule(wait=0, warmup=1, active=steps, repeat=1)
    with torch.profiler.profile(activities=activities, schedule=schedule) as profiler:
        all_sections(program, sections)
        program.ledger.clear()
        for _ in range(steps):
            profiler.step()
            all_sections(program, sections)
    profiler.export_chrome_trace(str(output / f"rank{program.rank}.json.gz"))


def main(output: Path, steps: int) -> None:
    program = start()
    sections = {section.__name__: section(program) for section in SECTIONS}
    for _ in range(WARM_UP):
        all_sections(program, sections)
    by_torch = cross_check(program, sections)
    profiled(program, sections, output, steps)
    names = ("op", "bytes", "largest_bytes", "group_size", "members")
    calls = [dict(zip(names, key, strict=True), count=count) for key, count in sorted(program.ledger.items())]
    expected = {"rank": program.rank, "steps": steps, "calls": calls, "comm_debug_mode": by_torch}
    (output / f"expected.rank{program.rank}.json").write_text(json.dumps(expected, indent=1))
    dist.destroy_process_group()


if __name__ == "__main__":
    # Two torch versions deprecate what the other lacks, and hooks warn of what is meant here.
    warnings.filterwarnings("ignore")
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    main(folder, int(sys.argv[2]) if sys.argv[2:] else 4)
