"""A whole sweep: from its plan to the report in its folder, or to what it would do."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from traceana_capture.launcher.backends import check_machine, check_program
from traceana_capture.masks import masked_words
from traceana_capture.reading import DECODE_ERRORS

from traceana import units
from traceana.errors import TraceanaError
from traceana.sweep import journal, metric
from traceana.sweep.cells import Cell, baseline, cells
from traceana.sweep.conclude import conclude, inherited
from traceana.sweep.journal import Head, Journal, Record
from traceana.sweep.order import Turn, turns
from traceana.sweep.plan import Plan, placeholders
from traceana.sweep.report import SweepReport
from traceana.sweep.runner import Runner
from traceana.sweep.series import Known, Progress, Run, run_all

REPORT, PAGE = "report.json", "report.html"
INTERRUPTED = "interrupted; the same command goes on here"
Say = Callable[[str], None]


class Sweep:
    """One plan in one folder. Raises TraceanaError where the plan cannot be run."""

    def __init__(self, plan: Plan, folder: Path, capture: Sequence[str] = ()) -> None:
        self.plan = plan
        self.folder = folder
        self.capture = tuple(capture)
        self.metric = metric.parse(plan.metric, has_dump="perf_dump" in placeholders(plan.command))
        self.cells = cells(plan)
        self.baseline = baseline(plan, self.cells)
        traced = plan.traced and self.metric.source is not metric.Source.TRACE
        self.turns = turns(self.cells, plan.repeats, plan.seed, traced=traced)

    @property
    def head(self) -> Head:
        """What must be the same for a sweep to go on."""
        return head(self.plan, "sweep")

    def preview(self) -> list[str]:
        """Cells, order and expected time, as lines."""
        records = journal.read(self.folder, self.head)
        known = Known(records)
        left = [turn for turn in self.turns if not known.is_done(turn)]
        lines = [f"{units.plural(len(self.cells), 'cell')}, baseline {self.baseline.label}:"]
        lines += [f"  {cell.label}{_on_gpus(cell.gpus)}" for cell in self.cells]
        lines.append(f"{units.plural(len(left), 'run')} of {len(self.turns)}, in this order:")
        lines += [f"  {number}. {turn.title}" for number, turn in enumerate(left, start=1)]
        return [*lines, _expected_time(known.left_ns(left), len(left), self.plan.limits.run_s)]

    def go(self, say: Say, run: Run | None = None) -> SweepReport:
        """Run what is left, and write the report. Raises TraceanaError where that cannot be."""
        check_cells(self.cells, self.metric)
        with journal.opened(self.folder, self.head) as book:
            run = run or runner(self.plan, self.metric, self.cells, self.folder, self.capture, book)
            try:
                stopped = run_all(self.turns, book, spoken(run, say), self.plan.limits, announced(say))
            except KeyboardInterrupt:
                stopped = INTERRUPTED
            folder = self.folder.absolute()
            report = conclude(self.plan, self.metric, self.cells, self.baseline, book.records, folder, stopped)
            publish(report, self.folder)
            return report


def head(plan: Plan, kind: str) -> Head:
    """All of a plan but how often, how long and in which order, and of the environment what changes communication."""
    asked = (plan.command, [(axis.name, axis.choices) for axis in plan.axes], plan.values, plan.constraints)
    content = msgspec.json.encode((kind, asked, plan.metric, plan.gpus, inherited()))
    return Head(command=masked_words(plan.command), identity=hashlib.sha256(content).hexdigest())


def check_cells(cells: Sequence[Cell], asked: metric.Metric) -> None:
    """Raises TraceanaError where this machine or its Python cannot run one, or the metric could not be read of one."""
    if asked.per_gpu and any(cell.gpus is None for cell in cells):
        raise TraceanaError(f"--metric {asked.name} needs the number of GPUs; add --gpus EXPRESSION, such as --gpus 2")
    for backend, program in {(cell.backend, cell.argv[0]) for cell in cells}:
        check_machine(backend, ())
        check_program(backend, (program,))


def runner(
    plan: Plan, asked: metric.Metric, cells: Sequence[Cell], folder: Path, capture: Sequence[str], book: Journal
) -> Runner:
    """What runs the cells for real."""
    return Runner(
        folder,
        asked,
        adapted=any(cell.backend != "asis" for cell in cells),
        capture=capture,
        timeout_s=plan.limits.run_s,
        journal=[book.descriptor],
    )


def spoken(run: Run, say: Say) -> Run:
    """Runs, and says what came of it."""

    def told(turn: Turn) -> Record:
        record = run(turn)
        say(f"  {_outcome(record)}")
        return record

    return told


def announced(say: Say) -> Callable[[Progress], None]:
    """Says what runs next, and how long all will take."""

    def about(progress: Progress) -> None:
        left = "" if progress.left_ns is None else f"; about {units.duration(progress.left_ns)} left"
        say(f"run {progress.number} of {progress.of}: {progress.turn.title}{left}")

    return about


def publish(report: SweepReport, folder: Path) -> None:
    """Write report.json and report.html. Raises TraceanaError."""
    from traceana.sweep.page import render

    write(folder / REPORT, msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")
    write(folder / PAGE, render(report).encode())


def write(path: Path, content: bytes) -> None:
    """By rename, so that it is whole. Raises TraceanaError."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise TraceanaError(f"{path}: {error.strerror}; make room, then the same command writes it") from error


def read(folder: Path) -> SweepReport:
    """The report of a sweep. Raises TraceanaError where there is none."""
    try:
        return msgspec.json.decode((folder / REPORT).read_bytes(), type=SweepReport)
    except (OSError, *DECODE_ERRORS) as error:
        raise TraceanaError(f"{folder / REPORT}: is no report of a sweep ({error})") from error


def _on_gpus(gpus: int | None) -> str:
    return f", {units.plural(gpus, 'GPU')}" if gpus else ""


def _outcome(record: Record) -> str:
    if record.failure:
        return f"failed: {record.failure}" + (f" ({record.last_lines[-1]})" if record.last_lines else "")
    return units.duration(record.value_ns) if record.value_ns is not None else "traced"


def _expected_time(left_ns: int | None, runs: int, run_limit_s: float | None) -> str:
    if left_ns is not None:
        return f"expected time: about {units.duration(left_ns)}, by the runs that are done"
    if run_limit_s is not None:
        return f"expected time: not known before the first run; at most {units.duration(run_limit_s * 1e9 * runs)}"
    return "expected time: not known before the first run"
