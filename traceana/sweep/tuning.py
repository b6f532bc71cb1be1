"""A whole search: from the baseline's trace, which says what is hopeless, to the confirmed winner, or to none."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

from traceana import units
from traceana.errors import TraceanaError
from traceana.report import RunReport
from traceana.sweep import journal, metric, screen, space
from traceana.sweep.cells import Cell, cells
from traceana.sweep.conclude import conclude
from traceana.sweep.halving import Halving, Search
from traceana.sweep.journal import Journal
from traceana.sweep.order import Kind, Turn
from traceana.sweep.plan import Axis, Plan, checked, placeholders
from traceana.sweep.report import Searched, SearchRound, SweepReport
from traceana.sweep.runner import TRACES, read_trace, trace_name
from traceana.sweep.series import Known, Run, run_all
from traceana.sweep.whole import INTERRUPTED, Say, announced, check_cells, head, publish, runner, spoken

_MOST_SETTINGS = 20_000
"""Of which --candidates are tried."""
ReadTrace = Callable[[Path], RunReport]


class Tuning:
    """One search in one folder; a plan without axes gets the safe space. Raises TraceanaError."""

    def __init__(
        self,
        plan: Plan,
        folder: Path,
        environment: Mapping[str, str],
        most: int,
        capture: Sequence[str] = (),
        *,
        bench: bool = False,
    ) -> None:
        axes = space.checked_axes(plan.axes) or space.default_axes(environment)
        self.plan = checked(replace(plan, axes=axes, baseline=()))
        self.metric = metric.parse(plan.metric, has_dump="perf_dump" in placeholders(plan.command))
        self.folder = folder
        self.most = most
        self.capture = tuple(capture)
        self.bench = bench
        self.notes: list[str] = []
        self.ceiling: float | None = None

    def go(self, say: Say, run: Run | None = None, read: ReadTrace = read_trace) -> SweepReport:
        """Search, and write the report. Raises TraceanaError where that cannot be."""
        everything = cells(self.plan, _MOST_SETTINGS)
        check_cells(everything, self.metric)
        with journal.opened(self.folder, head(self.plan, "tune")) as book:
            real = run or runner(self.plan, self.metric, everything, self.folder, self.capture, book)
            search = _Going(self, book, spoken(real, say), say)
            return search.report(everything, read)


class _Going:
    """A search that has begun."""

    def __init__(self, tuning: Tuning, book: Journal, run: Run, say: Say) -> None:
        self.tuning = tuning
        self.plan = tuning.plan
        self.book = book
        self.run = run
        self.say = say

    def report(self, everything: Sequence[Cell], read: ReadTrace) -> SweepReport:
        """All of it; what was interrupted is told as far as it came."""
        first = everything[0]
        search, left, interrupted = None, everything[:1], None
        try:
            left = self._hopeful(everything, read)
            if len(left) > 1:
                search = self._search(left)
                self._trace(search.winner)
        except KeyboardInterrupt:
            interrupted = INTERRUPTED
        shown = [first, *(search.finalists if search else ())]
        stopped = interrupted or (search.stopped if search else None)
        report = conclude(
            self.plan, self.tuning.metric, shown, first, self.book.records, self.tuning.folder.absolute(), stopped
        )
        found = self._finished(report, search, len(everything), len(left) if search else 0)
        publish(found, self.tuning.folder)
        return found

    def _search(self, left: Sequence[Cell]) -> Search:
        halving = Halving(left, self.book, self.run, self.plan.limits, announced(self.say), self.plan.seed)
        return halving.search(self.plan.repeats)

    def _hopeful(self, everything: Sequence[Cell], read: ReadTrace) -> Sequence[Cell]:
        """The cells that may gain something by what the baseline's trace shows, the baseline first."""
        left = everything
        trace = self._baseline_trace(everything[0], read) if self.plan.traced else None
        if trace is not None:
            self.tuning.ceiling = space.ceiling(trace)
            if self.tuning.ceiling is not None and self.tuning.ceiling < space.SMALLEST_GAIN:
                share = units.percent(self.tuning.ceiling, 1)
                self._note(f"everything: exposed communication is {share} of the time, and no setting gains more")
                return everything[:1]
            pruned = self._pruned(trace, everything[0])
            allowed = {axis.name: {choice.label for choice in axis.choices} for axis in pruned}
            first = dict(everything[0].settings)
            left = [
                cell
                for cell in everything
                if all(value in allowed.get(name, {first[name]}) for name, value in cell.settings)
            ]
        chosen = space.candidates(left, self.tuning.most, self.plan.seed)
        if len(chosen) < len(left):
            self._note(f"{len(left) - len(chosen)} of {len(left)} settings: --candidates {self.tuning.most}, by chance")
        return chosen

    def _pruned(self, trace: RunReport, baseline: Cell) -> Sequence[Axis]:
        """The axes without what cannot help; an axis that is gone stays as the baseline has it."""
        pruned = space.by_trace(self.plan.axes, trace)
        for note in pruned.left_out:
            self._note(note)
        asked = screen.wanted(trace) if self.tuning.bench else None
        if asked is None:
            return pruned.axes
        folder = self.tuning.folder.absolute()
        try:
            predict = screen.replaying(folder / TRACES / trace_name(Turn(cell=baseline, kind=Kind.TRACED, repeat=1)))
        except TraceanaError as error:
            self.say(f"no bench beforehand: {error}")
            return pruned.axes
        self.say(f"measuring {', '.join(asked.operations)} by themselves under each setting")
        bench = screen.real_bench(folder, [self.book.descriptor])
        found = screen.screened(pruned.axes, asked, folder / "bench", bench, predict)
        for note in found.left_out:
            self._note(note)
        return found.axes

    def _note(self, text: str) -> None:
        self.tuning.notes.append(text)
        self.say(f"not run: {text}")

    def _baseline_trace(self, baseline: Cell, read: ReadTrace) -> RunReport | None:
        turn = self._trace(baseline)
        if turn is None or turn.key not in Known(self.book.records).succeeded:
            return None
        try:
            return read(self.tuning.folder.absolute() / TRACES / trace_name(turn))
        except TraceanaError as error:
            self.say(f"the search begins without a trace: {error}")
            return None

    def _trace(self, cell: Cell | None) -> Turn | None:
        """Trace a cell once, if traces are wanted."""
        if cell is None or not self.plan.traced or self.tuning.metric.source is metric.Source.TRACE:
            return None
        turn = Turn(cell=cell, kind=Kind.TRACED, repeat=1)
        run_all([turn], self.book, self.run, self.plan.limits, announced(self.say))
        return turn

    def _finished(self, report: SweepReport, search: Search | None, settings: int, tried: int) -> SweepReport:
        differs = {cell.label for cell in report.cells if cell.parity and cell.parity.status == "differs"}
        winner = search.winner.label if search and search.winner and search.winner.label not in differs else None
        return msgspec.structs.replace(
            report,
            winner=winner,
            sentence=_sentence(report, winner, self.tuning),
            search=Searched(
                settings=settings,
                tried=tried,
                ceiling=self.tuning.ceiling,
                left_out=tuple(self.tuning.notes),
                rounds=tuple(SearchRound(ran=one.ran, kept=one.kept) for one in (search.rounds if search else ())),
            ),
        )


def _sentence(report: SweepReport, winner: str | None, tuning: Tuning) -> str:
    """The winner with its evidence, or that there is none."""
    cell = next((cell for cell in report.cells if cell.label == winner), None)
    if cell is None or cell.against_baseline is None:
        return "No setting is certainly better than what the environment has."
    its = cell.against_baseline
    changed = " ".join(f"{name.removeprefix('env.')}={value}" for name, value in _changes(cell.settings, tuning.plan))
    interval, runs = units.ratio_range(its.ci_low, its.ci_high), units.plural(len(cell.values_ns), "run")
    return (
        f"{changed} is faster: {units.ratio(its.speedup)}, 95 % interval {interval}, on {runs} that did not choose it."
    )


def _changes(settings: Sequence[tuple[str, str]], plan: Plan) -> list[tuple[str, str]]:
    first = {axis.name: axis.choices[0].label for axis in plan.axes}
    return [(name, value) for name, value in settings if value != first[name]]
