"""A run of report.json against the figures that its raw traces give, path by path."""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.oracle import figures as by_hand
from tests.oracle.calls import Call
from tests.oracle.comparisons import steady
from tests.oracle.figures import Figures, Run, read_run
from tests.oracle.matching import Shift
from tests.oracle.spans import span_figures, step_figures

LEAST_NS = 5_000
BY_REPETITION = "step, by repetition 0"


@dataclass(slots=True)
class Findings:
    """How many figures were compared, and those that differ: path, by hand, in the report.

    With `slack` a number may be off by that part of it and LEAST_NS: clocks across hosts are estimated.
    """

    slack: float = 0.0
    compared: int = 0
    differing: list[tuple[str, object, object]] = field(default_factory=list)

    def equal(self, path: str, expected: object, found: object) -> None:
        """Compare two figures, or two mappings of figures."""
        if isinstance(expected, dict) and isinstance(found, dict):
            for key, value in expected.items():
                self.equal(f"{path}.{key}", value, found.get(key, "absent"))
            return
        self.compared += 1
        if not self._close(expected, found) and expected != found:
            self.differing.append((path, expected, found))

    def _close(self, expected: object, found: object) -> bool:
        if not isinstance(expected, int | float) or not isinstance(found, int | float):
            return False
        if not self.slack and not isinstance(expected, float):
            return False
        least = LEAST_NS if self.slack and isinstance(expected, int) else 0.0
        return abs(expected - found) <= max(self.slack, 1e-9) * abs(expected) + least


def check(report: Any, files: Iterable[Path], shift: Shift | None = None, slack: float = 0.0) -> Findings:
    """Compare everything that has a definition; `report` is a run of report.json.

    `shift` tells true time where clocks drift, so that the report's offsets are judged too.
    """
    found = Findings(slack=slack)
    offsets = {rank["rank"]: rank["clock_offset_ns"] for rank in report["ranks"]}
    run = read_run(files, shift or (lambda rank, at: at - offsets[rank]))
    _ranks(report, run, found)
    _operations(report, run, found)
    _sizes(report, run, found)
    _coverage(report, run, found)
    _spans(report, run, found)
    _clock(report, found)
    _timeline(report, found)
    return found


def _ranks(report: Any, run: Run, found: Findings) -> None:
    found.equal("ranks", sorted(run.raws), [rank["rank"] for rank in report["ranks"]])
    for rank in report["ranks"]:
        number = rank["rank"]
        expected = by_hand.rank_figures(run.raws[number], run.calls[number])
        found.equal(f"ranks[{number}]", expected, rank)
        _causes(f"ranks[{number}]", rank, "exposed_comm_ns", found)
        if rank.get("exposed_is") and not run.matched.open:
            peer = by_hand.peer_ns(run.raws[number], run.calls[number])
            found.equal(f"ranks[{number}].exposed_is.peer_ns", peer, rank["exposed_is"]["peer_ns"])


def _causes(path: str, row: Any, exposed: str, found: Findings) -> None:
    """Parts add up to what they explain."""
    for part, whole in (("exposed_is", exposed), ("uncovered_by", exposed), ("idle_by", "idle_ns")):
        if row.get(part):
            found.equal(f"{path}.{part}", row[whole], sum(row[part].values()))


def _operations(report: Any, run: Run, found: Findings) -> None:
    kinds: dict[tuple[object, ...], list[Call]] = defaultdict(list)
    rows: dict[tuple[object, ...], list[Any]] = defaultdict(list)
    for call in run.all_calls:
        kinds[call.op, call.dtype, call.bytes, call.group_size, call.library, max(len(call.members), 1)].append(call)
    for row in report["operations"]:
        keys = ("op", "dtype", "message_bytes", "group_size", "library", "members")
        rows[tuple(row[key] for key in keys)].append(row)
        _causes(f"operations[{row['op']}]", row, "exposed_ns", found)
    found.equal("operations", sorted(map(str, kinds)), sorted(map(str, rows)))
    for key in kinds.keys() & rows.keys():
        expected = by_hand.operation_figures(kinds[key])
        if len(rows[key]) == 1:
            found.equal(f"operations{key}", _settled(expected, kinds[key], run), rows[key][0])
            _histogram(f"operations{key}", [call.duration for call in kinds[key]], rows[key][0]["histogram"], found)
        else:
            found.equal(f"operations{key}.count", expected["count"], sum(row["count"] for row in rows[key]))


def _settled(figures: Figures, calls: Sequence[Call], run: Run) -> Figures:
    """Without what depends on matching where that is open."""
    undecided = {id(call) for call in run.matched.open}
    if not any(id(call) in undecided for call in calls):
        return figures
    return {key: value for key, value in figures.items() if key in ("count", "duration_ns", "exposed_ns")}


def _histogram(path: str, values: Sequence[int], histogram: Any, found: Findings) -> None:
    edges = histogram["edges_ns"]
    bins = (min(max(bisect_right(edges, value) - 1, 0), len(edges) - 2) for value in values)
    counts = Counter(bins)
    found.equal(f"{path}.histogram", [counts[place] for place in range(len(edges) - 1)], histogram["counts"])


def _sizes(report: Any, run: Run, found: Findings) -> None:
    expected = by_hand.buckets(run.all_calls)
    rows = {(row["op"], row["scheme"], row["lower_bytes"], row["upper_bytes"]): row for row in report["buckets"]}
    found.equal("buckets", sorted(map(str, expected)), sorted(map(str, rows)))
    undecided = {call.op for call in run.matched.open}
    for key in expected.keys() & rows.keys():
        bucket = {
            name: value for name, value in expected[key].items() if name != "busbw_gbps" or key[0] not in undecided
        }
        found.equal(f"buckets{key}", bucket, rows[key])
    sites: dict[tuple[str, int | None], Counter[str]] = defaultdict(Counter)
    for row in report["call_sites"]:
        sites[row["op"], row["message_bytes"]].update({key: row[key] for key in ("count", "sum_ns", "exposed_ns")})
    calls: dict[tuple[str, int | None], Counter[str]] = defaultdict(Counter)
    for call in run.all_calls:
        calls[call.op, call.bytes].update(count=1, sum_ns=call.duration, exposed_ns=call.exposed)
    found.equal(
        "call_sites", {str(key): dict(sums) for key, sums in calls.items()}, {str(k): dict(v) for k, v in sites.items()}
    )


def _coverage(report: Any, run: Run, found: Findings) -> None:
    coverage = report["coverage"]
    found.equal("coverage.collectives", len(run.all_calls), coverage["collectives"])
    found.equal("coverage.without_size", sum(call.bytes is None for call in run.all_calls), coverage["without_size"])
    if not run.matched.open:
        found.equal("coverage.matched", sum(map(len, run.matched.sets)), coverage["matched"])
        _uneven(report, run, found)
        _waiting(report, run.matched.sets, "", found)
        _warm_up(report, run, found)


def _waiting(report: Any, sets: list[list[Call]], prefix: str, found: Findings) -> None:
    """Stragglers and waits in these collectives, under keys with this prefix."""
    for row in report["stragglers"]:
        late = by_hand.straggler_figures(sets, row["rank"])
        found.equal(f"stragglers[{row['rank']}]", {prefix + key: value for key, value in late.items()}, row)
    cells = by_hand.wait_cells([call for calls in sets for call in calls])
    for row in report["waits"]:
        cell = cells.pop((row["rank"], row["op"]), {"calls": 0, "wait_ns": 0})
        found.equal(f"waits[{row['rank']}, {row['op']}]", {prefix + key: value for key, value in cell.items()}, row)
    found.equal("waits", [], sorted(cells))


def _warm_up(report: Any, run: Run, found: Findings) -> None:
    """The part of it in collectives that are not steady, where spans mark the steps."""
    steps = [step["name"] for step in report["steps"]]
    if steps[:1] != [BY_REPETITION]:
        numbers = {call.collective for call in steady(run, steps[1] if steps else None)}
        early = [calls for calls in run.matched.sets if calls[0].collective not in numbers]
        _waiting(report, early, "warm_up_", found)


def _uneven(report: Any, run: Run, found: Findings) -> None:
    uneven = by_hand.uneven_figures(run.matched.sets)
    told = {(row["op"], row["group_name"], tuple(row["ranks"])): row for row in report["uneven"]}
    found.equal("uneven", sorted(map(str, uneven)), sorted(map(str, told)))
    for key in uneven.keys() & told.keys():
        found.equal(f"uneven{key}", uneven[key], told[key])
        _matrix(f"uneven{key}.matrix", told[key], found)


def _matrix(path: str, row: Any, found: Findings) -> None:
    """Rows add up to what each rank sent, columns to what it received."""
    if row["matrix"]:
        found.equal(f"{path}.rows", row["sent"]["by_rank"], [sum(line) for line in row["matrix"]])
        columns = zip(*row["matrix"], strict=True)
        found.equal(f"{path}.columns", row["received"]["by_rank"], [sum(column) for column in columns])


def _spans(report: Any, run: Run, found: Findings) -> None:
    expected = span_figures(run)
    for row in report["spans"]:
        found.equal(f"spans[{row['name']}]", expected.get(row["name"], {"count": 0}), row)
    by_name: dict[str, list[Any]] = defaultdict(list)
    for step in report["steps"]:
        by_name[step["name"]].append(step)
    for name, steps in step_figures(run, by_name).items():
        for index, (one, row) in enumerate(zip(steps, by_name[name], strict=False)):
            found.equal(f"steps[{name}][{index}]", one, row)


def _clock(report: Any, found: Findings) -> None:
    """One host has one clock, and the lowest rank's is the run's."""
    offsets = {rank["rank"]: rank["clock_offset_ns"] for rank in report["ranks"]}
    found.equal("clock.reference", 0, offsets[min(offsets)])
    hosts: dict[str, set[int]] = defaultdict(set)
    for rank in report["ranks"]:
        if rank["host"] is not None:
            hosts[rank["host"]].add(rank["clock_offset_ns"])
    for host, of_host in hosts.items():
        found.equal(f"clock[{host}]", 1, len(of_host))
    if report["clock"]["method"] == "shared":
        found.equal("clock.shared", {0}, set(offsets.values()))


def _timeline(report: Any, found: Findings) -> None:
    """Slices are in order and apart, within the strip."""
    timeline = report["timeline"]
    for row in timeline["rows"] if timeline else ():
        edges = [edge for piece in row["slices"] for edge in (piece["start_ns"], piece["end_ns"])]
        found.equal(f"timeline[{row['rank']}]", sorted(edges), edges)
        found.equal(
            f"timeline[{row['rank']}].inside", True, all(0 <= edge <= timeline["duration_ns"] for edge in edges)
        )
