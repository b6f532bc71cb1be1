"""From what was recorded of a run to its graph."""

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from msgspec.structs import replace

from traceana.analyze.calls import Calls
from traceana.analyze.clocks import ClockOffsets
from traceana.analyze.work import RankWork
from traceana.replay.graph import Activities, Edges, Graph, Host
from traceana.replay.host import Blocked, blocked, gaps, last_wait
from traceana.replay.meetings import meetings
from traceana.replay.pacing import followed, follows_device
from traceana.replay.streams import Pairs, event_pairs, prompt_pairs, stream_pairs, usual
from traceana.trace.columns import Ints

_NO_OP = -1


class _Rank(msgspec.Struct, frozen=True, kw_only=True):
    """One rank's work, on the common clock since the run's first moment, and where its rows are among all ranks'."""

    rank: int
    work: RankWork
    blocked: Blocked
    first_activity: int
    first_op: int
    first_wait: int
    root: int
    calls: Ints
    followed: Ints
    """For each host operation the activity whose end it followed, of all ranks', or -1."""

    @property
    def launched_by(self) -> Ints:
        """For each activity the host operation that launched it, of all ranks', or -1."""
        launch = self.work.launch.astype(np.int64)
        return np.where(launch >= 0, launch + self.first_op, -1)

    def resumed(self, leave: Ints) -> Ints:
        """For each host operation the node at which the host went on before it."""
        wait = last_wait(self.work.host_start_ns, self.blocked)
        resumed = np.where(wait >= 0, self.first_wait + wait, self.root)
        return np.where(self.followed >= 0, leave[self.followed], resumed) if len(leave) else resumed

    def gap_ns(self) -> Ints:
        """For each host operation the time since the host went on or, if that was later, since the one before it."""
        start = self.work.host_start_ns
        gap = gaps(start, last_wait(start, self.blocked), self.blocked, 0)
        ends = np.append(self.work.end_ns, 0)[np.where(self.followed >= 0, self.followed - self.first_activity, -1)]
        first = np.diff(self.followed, prepend=-1) != 0
        before = np.where(first, ends, np.concatenate((start[:1], start[:-1])))
        return np.where(self.followed >= 0, start - before, gap)


def build(works: Mapping[int, RankWork], calls: Calls, clocks: ClockOffsets) -> Graph:
    """The graph of all ranks' work."""
    ranks = _placed(_on_common_clock(works, clocks), calls)
    activities = _activities(ranks, calls)
    many = sum(len(one.blocked.op) for one in ranks)
    starts = _joined([one.work.start_ns for one in ranks])
    ends = _joined([one.work.end_ns for one in ranks])
    met = meetings(activities, starts, ends, len(starts) + len(ranks) + many)
    waits = _joined([one.blocked.end_ns for one in ranks])
    duration = np.zeros(len(starts) + len(ranks) + many + met.nodes, dtype=np.int64)
    duration[: len(starts)] = np.where(met.leave == np.arange(len(starts)), ends - starts, 0)
    graph = Graph(
        time_ns=np.concatenate((starts, np.zeros(len(ranks), dtype=np.int64), waits, met.time_ns)),
        duration_ns=duration,
        delay_ns=np.zeros_like(duration),
        edges=met.edges,
        host=_host(ranks, met.leave),
        activities=replace(activities, leave=met.leave),
    )
    graph = _with(graph, [edges for one in ranks for edges in _host_edges(one, graph, ends)])
    graph = _with(graph, [edges for one in ranks for edges in _device_edges(one, graph, ends)])
    ready = graph.ready_ns()
    graph = _with(graph, [_after(one, graph, ends, prompt_pairs(one.work, _mine(one, ready)), 0) for one in ranks])
    return replace(graph, delay_ns=graph.time_ns - graph.ready_ns())


def first_moment(works: Mapping[int, RankWork], clocks: ClockOffsets) -> int:
    """When the first of all things happened, on the common clock."""
    return min(
        int(clocks.common(rank, times).min())
        for rank, work in works.items()
        for times in (work.start_ns, work.host_start_ns)
        if len(times)
    )


def _on_common_clock(works: Mapping[int, RankWork], clocks: ClockOffsets) -> list[tuple[int, RankWork]]:
    """All times since the run's first moment."""
    common = {
        rank: replace(
            work,
            start_ns=clocks.common(rank, work.start_ns),
            end_ns=clocks.common(rank, work.end_ns),
            host_start_ns=clocks.common(rank, work.host_start_ns),
            host_end_ns=clocks.common(rank, work.host_end_ns),
        )
        for rank, work in sorted(works.items())
    }
    first = first_moment(works, clocks)
    return [
        (
            rank,
            replace(
                work,
                start_ns=work.start_ns - first,
                end_ns=work.end_ns - first,
                host_start_ns=work.host_start_ns - first,
                host_end_ns=work.host_end_ns - first,
            ),
        )
        for rank, work in common.items()
    ]


def _placed(works: Sequence[tuple[int, RankWork]], calls: Calls) -> list[_Rank]:
    all_activities = sum(len(work) for _, work in works)
    found: list[_Rank] = []
    of_rank = calls.rows_of_ranks
    activity, op, wait = 0, 0, all_activities + len(works)
    for place, (rank, work) in enumerate(works):
        held = blocked(work)
        rows = of_rank.get(rank, slice(0))
        follows = follows_device(work, stream_pairs(work))
        behind = followed(work) if follows else np.full(len(work.host_start_ns), -1, dtype=np.int64)
        of_call = np.where((work.call >= 0) & (rows.stop > 0), (rows.start or 0) + work.call.astype(np.int64), -1)
        found.append(
            _Rank(
                rank=rank,
                work=work,
                blocked=held,
                first_activity=activity,
                first_op=op,
                first_wait=wait,
                root=all_activities + place,
                calls=of_call,
                followed=np.where(behind >= 0, behind + activity, -1),
            )
        )
        activity, op, wait = activity + len(work), op + len(work.host_start_ns), wait + len(held.op)
    return found


def _joined(columns: Sequence[Ints]) -> Ints:
    return np.concatenate(columns) if columns else np.zeros(0, dtype=np.int64)


def _activities(ranks: Sequence[_Rank], calls: Calls) -> Activities:
    call = _joined([one.calls for one in ranks])
    matched = np.where((call >= 0) & calls.matched[call], calls.collective[call], -1) if len(calls) else call
    return Activities(
        rank=np.repeat([one.rank for one in ranks], [len(one.work) for one in ranks]),
        leave=np.arange(len(call)),
        communicates=np.concatenate([one.work.communicates for one in ranks]),
        collective=matched,
        call=call,
        launch=_joined([one.launched_by for one in ranks]),
    )


def _host(ranks: Sequence[_Rank], leave: Ints) -> Host:
    return Host(
        rank=np.repeat([one.rank for one in ranks], [len(one.work.host_start_ns) for one in ranks]),
        after=_joined([one.resumed(leave) for one in ranks]),
        gap_ns=_joined([one.gap_ns() for one in ranks]),
        follows=np.concatenate([one.followed >= 0 for one in ranks]),
    )


def _host_edges(one: _Rank, graph: Graph, ends: Ints) -> list[Edges]:
    """What each wait of the host depends on: the host itself, and the activities that had to end."""
    held = one.blocked
    op = held.op + one.first_op
    hosts = Edges(
        source=one.resumed(graph.activities.leave)[held.op],
        target=one.first_wait + np.arange(len(op)),
        lag_ns=np.zeros(len(op), dtype=np.int64),
        op=op,
    )
    return [hosts, _between(graph, ends, held.activity + one.first_activity, held.waiter + one.first_wait, 0)]


def _device_edges(one: _Rank, graph: Graph, ends: Ints) -> list[Edges]:
    """What each activity depends on."""
    work = one.work
    pairs = stream_pairs(work)
    usually = usual(work, pairs)
    launched = np.flatnonzero(work.launch >= 0)
    op = work.launch[launched].astype(np.int64)
    launches = Edges(
        source=one.resumed(graph.activities.leave)[op],
        target=launched + one.first_activity,
        lag_ns=np.minimum(work.start_ns[launched] - work.host_start_ns[op], usually.latency_ns),
        op=op + one.first_op,
    )
    alone = np.setdiff1d(np.flatnonzero(work.launch < 0), pairs.after)
    roots = Edges(
        source=np.full(len(alone), one.root),
        target=alone + one.first_activity,
        lag_ns=work.start_ns[alone],
        op=np.full(len(alone), _NO_OP),
    )
    return [
        launches,
        roots,
        _after(one, graph, ends, pairs, usually.gap_ns),
        _after(one, graph, ends, event_pairs(work), usually.gap_ns),
    ]


def _after(one: _Rank, graph: Graph, ends: Ints, pairs: Pairs, usual_ns: int) -> Edges:
    """Edges from one activity to another that comes after it."""
    return _between(graph, ends, pairs.before + one.first_activity, pairs.after + one.first_activity, usual_ns)


def _between(graph: Graph, ends: Ints, before: Ints, target: Ints, usual_ns: int) -> Edges:
    """Edges from the end of activities, or from their start where they were not over yet; `usual_ns` is their lag."""
    apart = ends[before] <= graph.time_ns[target]
    source = np.where(apart, graph.activities.leave[before], before)
    gap = graph.time_ns[target] - graph.time_ns[source] - graph.duration_ns[source]
    return Edges(
        source=source,
        target=target,
        lag_ns=np.where(apart, np.minimum(gap, usual_ns), gap),
        op=np.full(len(target), _NO_OP),
    )


def _mine(one: _Rank, of_nodes: Ints) -> Ints:
    return of_nodes[one.first_activity : one.first_activity + len(one.work)]


def _with(graph: Graph, parts: Sequence[Edges]) -> Graph:
    """The graph with more edges, but for those that what happened contradicts."""
    edges = Edges.joined(parts)
    holds = graph.time_ns[edges.source] <= graph.time_ns[edges.target]
    return replace(graph, edges=Edges.joined([graph.edges, edges.only(holds)]))
