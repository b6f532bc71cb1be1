"""Offsets and rates of several clocks from differences between pairs of them: robust least squares, with a bound.

Huber's weights and their constant: P. J. Huber, Robust Estimation of a Location Parameter (1964).
"""

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from traceana.trace.columns import Ints

_Floats = npt.NDArray[np.float64]
_HUBER = 1.345
_ROUNDS = 12
_ENOUGH_FOR_DRIFT = 8
_FEWEST_FOR_SCATTER = 3
_SECOND_NS = 1e9


class Edge(msgspec.Struct, frozen=True, kw_only=True):
    """Calls that two machines left together: how far the second one's clock is ahead by each, and within what limits.

    `least_ns` and `most_ns` bound the offset without any guess: nobody leaves a call before the last one came.
    """

    first: int
    second: int
    at_ns: Ints
    difference_ns: Ints
    least_ns: Ints
    most_ns: Ints


class Fit(msgspec.Struct, frozen=True, kw_only=True):
    """By machine: its clock's offset at `epoch_ns`, its rate less 1, and the lowest machine it could be compared with.

    The true offsets are within `bound_ns` with 95 % confidence; None where nothing was compared.
    """

    offset_ns: Mapping[int, int]
    rate: Mapping[int, float]
    island: Mapping[int, int]
    epoch_ns: int
    bound_ns: int | None


def fit(machines: Sequence[int], edges: Sequence[Edge]) -> Fit:
    """Solve for all machines together; `machines` are in order, and the first of each island is its reference."""
    edges = [edge for edge in edges if len(edge.at_ns)]
    rough, island = _walk(machines, edges)
    epoch = round(float(np.median(np.concatenate([edge.at_ns for edge in edges])))) if edges else 0
    unknown = {machine: index for index, machine in enumerate(m for m in machines if island[m] != m)}
    if not unknown:
        return Fit(offset_ns=rough, rate=dict.fromkeys(machines, 0.0), island=island, epoch_ns=epoch, bound_ns=None)
    problem = _Problem(edges, rough, unknown, epoch)
    steady = problem.solve(drift=False)
    drifting = problem.solve(drift=True) if problem.drift_shows(steady) else steady
    chosen = drifting if problem.drifts(steady, drifting) else steady
    offsets = {m: rough[m] + (round(float(chosen[unknown[m]])) if m in unknown else 0) for m in machines}
    many = len(unknown)
    rates = {m: float(chosen[many + unknown[m]]) / _SECOND_NS if m in unknown else 0.0 for m in machines}
    return Fit(
        offset_ns=offsets, rate=rates, island=island, epoch_ns=epoch, bound_ns=round(problem.bound(chosen, island))
    )


def _walk(machines: Sequence[int], edges: Sequence[Edge]) -> tuple[dict[int, int], dict[int, int]]:
    """Rough offsets by the medians of the edges with most calls, and the machine that each was reached from."""
    offset: dict[int, int] = {}
    island: dict[int, int] = {}
    ordered = sorted(edges, key=lambda edge: (-len(edge.at_ns), edge.first, edge.second))
    for start in machines:
        if start in offset:
            continue
        offset[start], island[start] = 0, start
        grown = True
        while grown:
            grown = False
            for edge in ordered:
                median = int(np.sort(edge.difference_ns)[len(edge.difference_ns) // 2])
                for known, new, step in ((edge.first, edge.second, median), (edge.second, edge.first, -median)):
                    if known in offset and new not in offset:
                        offset[new], island[new], grown = offset[known] + step, start, True
    return offset, island


class _Problem:
    """The differences of all edges in one column each, relative to the rough offsets."""

    def __init__(
        self, edges: Sequence[Edge], rough: Mapping[int, int], unknown: Mapping[int, int], epoch_ns: int
    ) -> None:
        self.edges = edges
        self.many = len(unknown)
        self.rough = rough
        self.unknown = unknown
        counts = [len(edge.at_ns) for edge in edges]
        self.of_edge = np.repeat(np.arange(len(edges)), counts)
        # Machines that are a reference have offset 0: they share a column that is thrown away.
        self.first, self.second = (
            np.array([unknown.get(machine, self.many) for machine in ends])
            for ends in ([edge.first for edge in edges], [edge.second for edge in edges])
        )
        step = np.array([rough[edge.second] - rough[edge.first] for edge in edges], dtype=np.int64)
        difference = np.concatenate([edge.difference_ns for edge in edges])
        self.difference: _Floats = (difference - step[self.of_edge]).astype(np.float64)
        at = np.concatenate([edge.at_ns - rough[edge.first] for edge in edges])
        self.at: _Floats = (at - epoch_ns).astype(np.float64) / _SECOND_NS

    def residuals(self, solution: _Floats) -> _Floats:
        """What the differences are beyond the solution, in ns."""
        offset = np.append(solution[: self.many], 0.0)
        rate = np.append(solution[self.many :], 0.0)
        of_edge = offset[self.second] - offset[self.first]
        rates = rate[self.second] - rate[self.first]
        left: _Floats = self.difference - of_edge[self.of_edge] - rates[self.of_edge] * self.at
        return left

    def solve(self, *, drift: bool) -> _Floats:
        """Offsets in ns, then rates in ns a second."""
        solution: _Floats = np.zeros(2 * self.many)
        for _ in range(_ROUNDS):
            left = self.residuals(solution)
            scale = max(1.0, _HUBER * 1.4826 * float(np.median(np.abs(left))))
            weight = np.minimum(1.0, scale / np.maximum(np.abs(left), 1e-9))
            change = self._step(weight, left, drift=drift)
            solution = solution + change
            if np.abs(change).max() < 0.5:
                break
        return solution

    def _step(self, weight: _Floats, left: _Floats, *, drift: bool) -> _Floats:
        size = self.many + 1
        matrix, wanted = np.zeros((2 * size, 2 * size)), np.zeros(2 * size)
        powers = [np.bincount(self.of_edge, weight * self.at**power, len(self.edges)) for power in range(3)]
        sums = [np.bincount(self.of_edge, weight * left * self.at**power, len(self.edges)) for power in range(2)]
        for row in range(2):
            for sign, end in ((-1, self.first), (1, self.second)):
                np.add.at(wanted, row * size + end, sign * sums[row])
                for other, peer in ((-1, self.first), (1, self.second)):
                    for column in range(2):
                        at = (row * size + end, column * size + peer)
                        np.add.at(matrix, at, sign * other * powers[row + column])
        keep = np.concatenate((np.arange(self.many), size + np.arange(self.many) if drift else [])).astype(np.int64)
        reduced = matrix[np.ix_(keep, keep)]
        reduced[np.diag_indices(len(keep))] *= 1 + 1e-12
        found = np.linalg.lstsq(reduced, wanted[keep], rcond=None)[0]
        return np.concatenate((found, np.zeros(2 * self.many - len(found))))

    def drift_shows(self, steady: _Floats) -> bool:
        """Whether there are enough calls to tell a rate."""
        return bool((np.bincount(self.of_edge) >= _ENOUGH_FOR_DRIFT).all()) and len(steady) > 0

    def drifts(self, steady: _Floats, drifting: _Floats) -> bool:
        """Whether rates explain what offsets alone do not: more than chance would, and more than the scatter."""
        before, after = np.abs(self.residuals(steady)), np.abs(self.residuals(drifting))
        rates = drifting[self.many :]
        moved = float(np.abs(rates).max()) * float(np.ptp(self.at))
        noise = 1.4826 * float(np.median(after)) + 1.0
        error = noise / np.sqrt(len(after)) * np.sqrt(12)
        return moved > max(5 * error, 1000.0) and float(np.median(after)) < 0.8 * float(np.median(before))

    def bound(self, solution: _Floats, island: Mapping[int, int]) -> float:
        """Of the machine that is known worst, by its best edge."""
        left = self.residuals(solution)
        best: dict[int, float] = {}
        for number, edge in enumerate(self.edges):
            bound = self._edge_bound(edge, left[self.of_edge == number], solution)
            for machine in (edge.first, edge.second):
                if island[machine] != machine:
                    best[machine] = min(best.get(machine, bound), bound)
        return max(best.values(), default=0.0)

    def _edge_bound(self, edge: Edge, left: _Floats, solution: _Floats) -> float:
        scatter = float(np.quantile(np.abs(left), 0.95)) * (1 + 4 / len(left))
        offset = np.append(solution[: self.many], 0.0)
        step = self.rough[edge.second] - self.rough[edge.first]
        found = float(
            offset[self.unknown.get(edge.second, self.many)] - offset[self.unknown.get(edge.first, self.many)]
        )
        # Without any guess: the offset lies where no call is left before all came.
        certain = max(float(edge.most_ns.min()) - step - found, found + step - float(edge.least_ns.max()))
        if len(left) < _FEWEST_FOR_SCATTER:
            return max(certain, scatter)
        return scatter
