"""Plays a `Run` on one true clock: when each rank's device does what."""

import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from tests.synthetic.kineto import CollectiveArgs
from tests.synthetic.spec import Call, Run

MARGIN_NS = 1_000
FIRST_NS = 4_636_077_895_000_000
FIRST_SEQUENCE = 1_000
MATRIX_PRODUCT = "nvjet_tst_128x256_64x4_2x1_v_bz_coopB_TNT"
COPY = "Memcpy DtoD (Device -> Device)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Collective:
    """One collective of one group: everybody leaves together, a transfer after the last arrival."""

    call: Call
    args: CollectiveArgs
    arrivals: dict[int, int]
    ends: dict[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """One thing that a rank's device did; `kind` is memory, compute, side compute or comm."""

    kind: str
    name: str
    step: int
    start_ns: int
    end_ns: int
    collective: Collective | None = None

    @property
    def interval(self) -> tuple[int, int]:
        """Start and end."""
        return self.start_ns, self.end_ns


@dataclass(slots=True)
class _Devices:
    """All ranks' devices; `ready` says when each could do the next thing."""

    run: Run
    ready: dict[int, int]
    played: dict[int, list[Activity]]
    chance: random.Random
    sequences: dict[tuple[int, ...], int] = field(default_factory=lambda: defaultdict(lambda: FIRST_SEQUENCE))

    def pause(self) -> None:
        """Every rank's host does something between steps."""
        for rank in self.ready:
            self.ready[rank] += self.run.step_pause_ns

    def copy_memory(self, step: int) -> None:
        """Every rank moves some memory."""
        for rank, start in self.ready.items():
            end = start + self.run.memory_ns
            self.played[rank].append(Activity(kind="memory", name=COPY, step=step, start_ns=start, end_ns=end))
            self.ready[rank] = end + MARGIN_NS

    def meet(self, step: int, call: Call, args: CollectiveArgs, ranks: tuple[int, ...]) -> None:
        """Each of these ranks computes until it arrives, then all leave together."""
        collective = self._schedule(call, args, ranks)
        for rank, end in collective.ends.items():
            self.played[rank] += self._one_rank(step, collective, rank)
            self.ready[rank] = end + MARGIN_NS

    def next_sequence(self, ranks: tuple[int, ...]) -> int | None:
        """c10d counts each group's collectives."""
        self.sequences[ranks] += 1
        return self.sequences[ranks] if self.run.sequence_numbers else None

    def _schedule(self, call: Call, args: CollectiveArgs, ranks: tuple[int, ...]) -> Collective:
        start = max(self.ready[rank] for rank in ranks) + self.run.compute_ns + self.run.pause_ns
        # Drawn without repetition, so that exactly one rank is last.
        scatter = self.chance.sample(range(self.run.spread_ns), len(ranks))
        arrivals = {rank: start + call.delays_ns.get(rank, 0) + late for rank, late in zip(ranks, scatter, strict=True)}
        leave = max(arrivals.values()) + call.transfer_ns
        ends = {rank: leave + self.chance.randint(0, self.run.end_jitter_ns) for rank in ranks}
        return Collective(call=call, args=args, arrivals=arrivals, ends=ends)

    def _one_rank(self, step: int, collective: Collective, rank: int) -> Iterator[Activity]:
        call, arrival = collective.call, collective.arrivals[rank]
        if self.run.gpu:
            computed = arrival - self.run.pause_ns
            yield Activity(kind="compute", name=MATRIX_PRODUCT, step=step, start_ns=self.ready[rank], end_ns=computed)
        yield Activity(
            kind="comm",
            name=call.kernel,
            step=step,
            start_ns=arrival,
            end_ns=collective.ends[rank],
            collective=collective,
        )
        if call.overlap_ns and self.run.gpu:
            end = arrival + call.overlap_ns
            yield Activity(kind="side compute", name=MATRIX_PRODUCT, step=step, start_ns=arrival, end_ns=end)


def play(run: Run) -> dict[int, list[Activity]]:
    """Every rank's activities in order."""
    ranks = range(run.world_size)
    devices = _Devices(
        run=run,
        ready=dict.fromkeys(ranks, FIRST_NS),
        played={rank: [] for rank in ranks},
        chance=random.Random(run.seed),
    )
    groups = {group.ranks: group for group in run.process_groups()}
    for step in range(run.steps):
        if step:
            devices.pause()
        if run.gpu:
            devices.copy_memory(step)
        for call in run.calls:
            for members in run.members(call):
                group = run.process_groups()[0] if call.pairs else groups[members]
                args = call.args(group, devices.next_sequence(members))
                if call.pairs:
                    args = replace(args, source=members[0], destination=members[1])
                devices.meet(step, call, args, members)
    return devices.played


def recorded(activities: list[Activity], missed_collectives: int, lost: frozenset[int] = frozenset()) -> list[Activity]:
    """What is left for a profiler that started only after so many collectives, and then lost some."""
    ends = [activity.end_ns for activity in activities if activity.collective]
    opened = ends[missed_collectives - 1] if missed_collectives else FIRST_NS
    kept = [activity for activity in activities if activity.start_ns >= opened]
    collectives = [activity for activity in kept if activity.collective]
    gone = {id(activity) for number, activity in enumerate(collectives) if number in lost}
    return [activity for activity in kept if id(activity) not in gone]
