"""Parts as `traceana measure` writes them, of ranks that were never run: columns are made, not traces.

Hosts of eight ranks, each with a clock of its own. In every step a rank calls its tensor-parallel group of eight most
often, its data-parallel group (one rank of each host) sometimes, and the world once; one rank in a hundred is late.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from traceana.analyze.causes.lost import LostTime
from traceana.analyze.causes.spent import Ledger, Spent
from traceana.analyze.collectives import Collectives, Signature
from traceana.analyze.intervals import Intervals
from traceana.analyze.measure import RankResult
from traceana.analyze.overlap import Occupation, mean_split
from traceana.analyze.overlap_price import CoveredCompute, Shuffled
from traceana.analyze.spans import SpanTimes
from traceana.analyze.work import LAUNCHES, RankWork
from traceana.report import IdleBy, UncoveredBy
from traceana.saved import parts
from traceana.trace.columns import Ints
from traceana.trace.discover import Discovery, RankFile, RunFiles
from traceana.trace.file import Damage
from traceana.trace.header import DeviceProperties, DistributedInfo, Header, ProcessGroupConfig
from traceana.trace.manifest import Manifest
from traceana.trace.paired import PairedCalls

HOST_RANKS = 8
_OF_DATA, _OF_WORLD = 10, 1
_CALLS_A_STEP = 100
_PERIOD_NS, _IDLE_NS, _SCATTER_NS, _LATE_NS, _TRANSFER_NS = 400_000, 5_000, 20_000, 60_000, 80_000
_FOLDER = Path("/simulated/run")
_NO_TIME = Intervals(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """A run of so many ranks, a multiple of eight, each with so many calls, a multiple of a hundred."""

    ranks: int
    calls: int
    seed: int = 1

    @property
    def hosts(self) -> int:
        """How many."""
        return self.ranks // HOST_RANKS

    def groups(self, rank: int) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
        """The rank's tensor-parallel group, its data-parallel group and the world."""
        first = rank - rank % HOST_RANKS
        return (
            tuple(range(first, first + HOST_RANKS)),
            tuple(range(rank % HOST_RANKS, self.ranks, HOST_RANKS)),
            tuple(range(self.ranks)),
        )


def write_parts(folder: Path, run: Simulated, hosts_a_part: int = 8) -> list[Path]:
    """Write the run as parts of a few hosts each; returns their folders."""
    made = []
    found = _measured(run)
    for first in range(0, run.hosts, hosts_a_part):
        ranks = dict(next(found) for _ in range(HOST_RANKS * min(hosts_a_part, run.hosts - first)))
        made.append(folder / f"part{first}")
        parts.write(made[-1], _part(run, ranks))
    return made


def _part(run: Simulated, ranks: Mapping[int, RankResult]) -> parts.Measured:
    files = tuple(
        RankFile(rank=rank, path=result.path, host=f"node{rank // HOST_RANKS}") for rank, result in ranks.items()
    )
    found = RunFiles(
        label=f"{run.ranks} ranks",
        side=f"{run.ranks} ranks",
        repeat=None,
        folder=_FOLDER,
        ranks=files,
        unreadable=(),
        perf_dumps=(),
        manifest=Manifest(),
        root=_FOLDER,
    )
    return parts.Measured(
        found=Discovery(runs=(found,), passed_over=()),
        results={result.path: result for result in ranks.values()},
        perf_dumps={},
        paired={_FOLDER: PairedCalls(calls=(), left_out=())},
    )


def _measured(run: Simulated) -> Iterator[tuple[int, RankResult]]:
    """All ranks in order: the calls of a host's ranks end together, and so do those of other groups."""
    chance = np.random.default_rng(run.seed)
    kind = _kinds(run.calls)
    base = np.arange(1, run.calls + 1, dtype=np.int64) * _PERIOD_NS
    late = (np.arange(run.ranks) % 100 == 13) * _LATE_NS
    of_data, of_world = (
        chance.integers(0, _SCATTER_NS, (run.ranks, int((kind == one).sum())), dtype=np.int64) + late[:, None]
        for one in (1, 2)
    )
    last_of_data = of_data.reshape(run.hosts, HOST_RANKS, -1).max(axis=0)
    last_of_world = of_world.max(axis=0)
    for host in range(run.hosts):
        mine = slice(host * HOST_RANKS, (host + 1) * HOST_RANKS)
        delay = chance.integers(0, _SCATTER_NS, (HOST_RANKS, run.calls), dtype=np.int64) + late[mine, None]
        last = np.broadcast_to(delay.max(axis=0), delay.shape).copy()
        delay[:, kind == 1], last[:, kind == 1] = of_data[mine], last_of_data
        delay[:, kind == 2], last[:, kind == 2] = of_world[mine], last_of_world
        clock = int(chance.integers(0, 50_000_000)) if host else 0
        for column in range(HOST_RANKS):
            end = base + last[column] + _TRANSFER_NS + chance.integers(0, 500, run.calls)
            rank = host * HOST_RANKS + column
            yield rank, _rank(run, rank, kind, base + delay[column] + clock, end + clock)


def _kinds(calls: int) -> Ints:
    """For each call which of its rank's groups makes it: 0 in the host, 1 over hosts, 2 the world."""
    a_step = np.zeros(_CALLS_A_STEP, dtype=np.int64)
    a_step[9 : 9 + 9 * _OF_DATA : 9] = 1
    a_step[-_OF_WORLD:] = 2
    return np.tile(a_step, calls // _CALLS_A_STEP)


def _rank(run: Simulated, rank: int, kind: Ints, start: Ints, end: Ints) -> RankResult:
    before = np.concatenate((start[:1] - _PERIOD_NS // 2, end[:-1]))
    compute = Intervals(before + _IDLE_NS, start)
    communication = Intervals(start, end)
    occupied = Occupation(compute=compute, communication=communication, memory=_NO_TIME)
    exposed = end - start
    return RankResult(
        path=_FOLDER / f"rank{rank}.json.gz",
        header=_header(run, rank),
        damage=Damage(),
        events=4 * len(start),
        source="gpu",
        split=mean_split([occupied]),
        lost=LostTime(
            exposed=communication,
            uncovered=(communication, *[_NO_TIME] * (len(UncoveredBy.__struct_fields__) - 1)),
            idle=(Intervals(before[1:], before[1:] + _IDLE_NS), *[_NO_TIME] * (len(IdleBy.__struct_fields__) - 1)),
        ),
        spent=_spent(compute, before, start, end),
        occupation=occupied,
        kernels=2 * len(start),
        comm_kernels=len(start),
        collectives=_collectives(run, rank, kind, start, end, exposed),
        spans=_spans(start, end),
        work=_work(compute, start, end),
        covered=_not_covered(),
    )


def _header(run: Simulated, rank: int) -> Header:
    names = (("tp", str(1 + rank // HOST_RANKS)), ("dp", f"dp{rank % HOST_RANKS}"), ("default_pg", "0"))
    groups = [
        ProcessGroupConfig(pg_name=name, pg_desc=axis, backend_config="nccl", pg_size=len(ranks), ranks=list(ranks))
        for (axis, name), ranks in zip(names, run.groups(rank), strict=True)
    ]
    return Header(
        distributed=DistributedInfo(
            rank=rank, world_size=run.ranks, backend="nccl", nccl_version="2.28.9", pg_config=groups
        ),
        devices=[DeviceProperties(id=rank % HOST_RANKS, name="NVIDIA H200")],
        base_time_ns=0,
        host=f"node{rank // HOST_RANKS}",
    )


def _collectives(run: Simulated, rank: int, kind: Ints, start: Ints, end: Ints, exposed: Ints) -> Collectives:
    names = (str(1 + rank // HOST_RANKS), f"dp{rank % HOST_RANKS}", "0")
    kinds = zip(
        names, run.groups(rank), ("TP", "DP", None), ("all_reduce", "reduce_scatter", "all_reduce"), strict=True
    )
    signatures = tuple(
        Signature(
            op=op,
            dtype="BFloat16",
            message_bytes=size,
            group_size=len(group),
            group=group,
            group_name=name,
            backend="torch.distributed",
            library="nccl",
            sent_bytes=size,
            received_bytes=size,
            axis=axis,
        )
        for (name, group, axis, op), size in zip(kinds, (8 << 20, 64 << 20, 4 << 10), strict=True)
    )
    number = np.zeros(len(kind), dtype=np.int64)
    for one in range(3):
        number[kind == one] = np.arange(int((kind == one).sum()))
    return Collectives(
        start_ns=start,
        end_ns=end,
        exposed_ns=exposed,
        seq=number,
        signature=kind,
        signatures=signatures,
        site=kind,
        sites=("attention", "backward", "clip"),
        of_activity=np.arange(len(kind)),
        module=np.full(len(kind), -1, dtype=np.int64),
        modules=(),
    )


def _spent(compute: Intervals, before: Ints, start: Ints, end: Ints) -> Spent:
    marks = np.unique(np.concatenate((start, end)))
    stretch = np.searchsorted(marks, compute.start, side="right")
    whose = np.arange(len(start)) % 3
    return Spent(
        opened_ns=int(before[0]),
        marks=marks,
        kernels=Ledger(
            stretch=stretch,
            name=whose,
            ns=compute.end - compute.start,
            names=(("kernel", "gemm"), ("kernel", "flash"), ("kernel", "norm")),
        ),
        host=Ledger(
            stretch=stretch, name=whose * 0, ns=np.full(len(stretch), _IDLE_NS), names=(("operator", "aten::linear"),)
        ),
    )


def _spans(start: Ints, end: Ints) -> SpanTimes:
    first, last = start[::_CALLS_A_STEP] - 200_000, end[_CALLS_A_STEP - 1 :: _CALLS_A_STEP]
    nothing = np.zeros(len(first), dtype=np.int64)
    return SpanTimes(
        names=tuple(f"ProfilerStep#{number}" for number in range(len(first))),
        start_ns=first,
        end_ns=last,
        cut_short=np.zeros(len(first), dtype=np.bool_),
        device_start_ns=first,
        device_end_ns=last,
        comm_ns=nothing + 1,
        exposed_comm_ns=nothing + 1,
        compute_ns=nothing + 1,
    )


def _work(compute: Intervals, start: Ints, end: Ints) -> RankWork:
    """A kernel and a call by turns, each launched a little before it runs."""
    many = 2 * len(start)
    begin, finish = np.stack([compute.start, start], axis=1).ravel(), np.stack([compute.end, end], axis=1).ravel()
    talks = np.arange(many) % 2 == 1
    launched = np.repeat(compute.start - 2 * _IDLE_NS, 2) + np.where(talks, 2_000, 0)
    return RankWork(
        start_ns=begin,
        end_ns=finish,
        stream=np.zeros(many, dtype=np.int64),
        launch=np.arange(many),
        call=np.where(talks, np.arange(many) // 2, -1),
        graph=np.zeros(many, dtype=np.bool_),
        communicates=talks,
        host_start_ns=launched,
        host_end_ns=launched + 1_000,
        host_does=np.full(many, LAUNCHES),
    )


def _not_covered() -> CoveredCompute:
    nothing = np.zeros(0, dtype=np.int64)
    none = Shuffled(kernels=0, extra_ns=0.0, by_chance_ns=np.zeros(500))
    return CoveredCompute(start_ns=nothing, end_ns=nothing, usual_ns=nothing, all=none, same_place=none)
