"""Runs a turn for real: the command with a cell's settings, without a profiler or under `traceana capture`."""

import hashlib
import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from traceana_capture.launcher.inject import inject
from traceana_capture.launcher.options import Options
from traceana_capture.masks import masked_text, masked_values, masked_words

from traceana.errors import TraceanaError
from traceana.report import PerfDump, RunReport
from traceana.sweep.cells import Cell, fill
from traceana.sweep.journal import Output, Record
from traceana.sweep.launch import Ended, fresh, run
from traceana.sweep.metric import Finished, Metric, NoValue, Source, read_dump, value_ns
from traceana.sweep.order import Kind, Turn
from traceana.sweep.plan import placeholders

RUNS, TRACES, SCRATCH = "runs", "traces", ".scratch"
LOG, DUMP, OUT = "output.log", "perf.json", "out"
NO_RANK = (-1,)
"""Ranks to record where none is: the backend's adapter works, and no profiler does."""
_LEAST_ROOM = 1 << 20
_LAST_LINES = 20
_LONGEST_LINE = 300
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


class Runner:
    """Runs turns of one sweep in `folder`, whose journal's descriptor outlives us until a command is gone."""

    def __init__(
        self,
        folder: Path,
        metric: Metric,
        *,
        adapted: bool,
        capture: Sequence[str] = (),
        timeout_s: float | None = None,
        journal: Sequence[int] = (),
    ) -> None:
        self.folder = folder.absolute()
        self.metric = metric
        self.adapted = adapted
        """Whether any cell asks for a backend: then all are run alike, with the adapters loaded."""
        self.capture = tuple(capture)
        self.timeout_s = timeout_s
        self._journal = tuple(journal)

    def __call__(self, turn: Turn) -> Record:
        """Run it. Raises TraceanaError where that cannot begin."""
        place = run_folder(self.folder, turn)
        fresh(place)
        argv = fill(turn.cell.argv, {"out": str(place / OUT), "perf_dump": str(place / DUMP)})
        if OUT in placeholders(turn.cell.argv):
            (place / OUT).mkdir()
        captured = turn.kind is Kind.TRACED or self.metric.source is Source.TRACE
        ended = self._captured(turn, argv, place) if captured else self._plain(turn.cell, argv, place)
        return self._record(turn, place, ended)

    def _plain(self, cell: Cell, argv: Sequence[str], place: Path) -> Ended:
        scratch = fresh(self.folder / SCRATCH)
        variables = {key: value for key, value in cell.environment if value is not None}
        base: Mapping[str, str] = os.environ
        if self.adapted:
            base = inject(scratch, Options(argv=tuple(argv), backend=cell.backend, ranks=NO_RANK, nccl=variables))
        return run(argv, _applied(base, cell), place / LOG, scratch, self.timeout_s, self._journal)

    def _captured(self, turn: Turn, argv: Sequence[str], place: Path) -> Ended:
        cell, output = turn.cell, self.folder / TRACES
        words = [sys.executable, "-m", "traceana", "capture", "-o", str(output), "--label", trace_name(turn), "--force"]
        words += ["--backend", cell.backend, *(f"--nccl-preset={name}" for name in cell.presets), *self.capture]
        words += ["--timeout", f"{self.timeout_s:g}"] if self.timeout_s else []
        scratch = fresh(self.folder / SCRATCH)
        return run([*words, "--", *argv], _applied(os.environ, cell), place / LOG, scratch, None, self._journal)

    def _record(self, turn: Turn, place: Path, ended: Ended) -> Record:
        value, dump, failure = None, None, ended.failure
        if failure is None:
            try:
                dump = read_dump(place / DUMP) if "perf_dump" in placeholders(turn.cell.argv) else None
                value = self._value(turn, place, ended, dump)
            except TraceanaError as error:
                failure = str(error)
        if failure is not None:
            refuse_full_disk(place)
        return Record(
            cell=turn.cell.label,
            kind=turn.kind.value,
            repeat=turn.repeat,
            wall_ns=ended.wall_ns,
            gpus=turn.cell.gpus,
            value_ns=value,
            failure=failure,
            last_lines=last_lines(place / LOG) if failure else (),
            outputs=() if failure else outputs(place / OUT),
            peak_memory_bytes=_peak(dump) if dump else None,
            commit=dump.commit if dump and dump.commit != "N/A" else None,
        )

    def _value(self, turn: Turn, place: Path, ended: Ended, dump: PerfDump | None) -> int | None:
        trace = None
        if turn.kind is Kind.TRACED or self.metric.source is Source.TRACE:
            trace = read_trace(self.folder / TRACES / trace_name(turn))
        if turn.kind is Kind.TRACED:
            return None
        run = Finished(wall_ns=ended.wall_ns, gpus=turn.cell.gpus, log=place / LOG, dump=dump, trace=trace)
        return value_ns(self.metric, run)


def run_folder(folder: Path, turn: Turn) -> Path:
    """Where a run's output is kept."""
    number = {Kind.TRACED: "traced", Kind.SEARCH: f"search-{turn.repeat}"}.get(turn.kind, str(turn.repeat))
    return folder / RUNS / turn.cell.name / number


def trace_name(turn: Turn) -> str:
    """The folder of its traces: the cell's, or the repeat's where each one is traced."""
    number = f"search.{turn.repeat}" if turn.kind is Kind.SEARCH else str(turn.repeat)
    return turn.cell.name if turn.kind is Kind.TRACED else f"{turn.cell.name}.{number}"


def read_trace(folder: Path) -> RunReport:
    """The one run in a folder. Raises NoValue where there is none that can be read."""
    from traceana.pipeline import read_runs
    from traceana.settings import Settings

    try:
        return read_runs([folder], Settings(workers=1), lambda _done, _total, _name: None)[0][0].report
    except TraceanaError as error:
        raise NoValue(f"its trace cannot be read: {error}") from error


def refuse_full_disk(folder: Path) -> None:
    """Raise TraceanaError where a run may have failed because it could not write: that is no fault of its cell."""
    disk = os.statvfs(folder)
    if disk.f_bavail * disk.f_frsize < _LEAST_ROOM:
        raise TraceanaError(
            f"{folder}: the disk is full, so the last run does not count; make room, then the same command goes on here"
        )


def last_lines(log: Path) -> tuple[str, ...]:
    """What a command said at its end, without colours."""
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - _LAST_LINES * _LONGEST_LINE))
        text = stream.read().decode(errors="replace")
    lines = [masked_text(_CONTROL.sub("", line)[:_LONGEST_LINE].rstrip()) for line in text.splitlines()]
    return tuple([line for line in lines if line][-_LAST_LINES:])


def outputs(folder: Path) -> tuple[Output, ...]:
    """The files that a run wrote, by name, with their hashes."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return tuple(_output(path, path.relative_to(folder)) for path in files)


def shell_lines(cell: Cell) -> tuple[str, ...]:
    """The cell's command as it would be typed, its variables before it, secrets masked."""
    set_to = masked_values({key: value for key, value in cell.environment if value is not None})
    sets = [
        f"unset {shlex.quote(key)}" if value is None else f"export {key}={shlex.quote(set_to[key])}"
        for key, value in cell.environment
    ]
    plain = masked_words(fill(cell.argv, {"out": OUT, "perf_dump": DUMP}))
    before = () if cell.backend == "asis" else ("traceana", "capture", "--backend", cell.backend, "--")
    return (*sets, shlex.join([*before, *plain]))


def _output(path: Path, name: Path) -> Output:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return Output(file=name.as_posix(), size_bytes=path.stat().st_size, sha256=digest.hexdigest())


def _applied(base: Mapping[str, str], cell: Cell) -> dict[str, str]:
    """The environment with the cell's variables set, and those taken away that it has none of."""
    changed = dict(base)
    for key, value in cell.environment:
        if value is None:
            changed.pop(key, None)
        else:
            changed[key] = value
    return changed


def _peak(dump: PerfDump) -> int | None:
    peaks = [point.peak_allocated_bytes for point in dump.memory if point.peak_allocated_bytes is not None]
    return max(peaks, default=None)
