"""The commands' numbers from Python: `import traceana`, then `traceana.read` and `traceana.compare`.

Tables are pandas data frames. Times are in ns, sizes in bytes, bandwidths in decimal GB/s, as in `report.json`; what is
not known is missing (`<NA>`), never zero.
"""

import html
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from traceana.analyze.run import AnalyzedRun
from traceana.comparing.comparison import compare as compare_sides
from traceana.comparing.inputs import Inputs, in_order, sort_inputs
from traceana.comparing.sides import Side
from traceana.errors import TraceanaError
from traceana.pipeline import read_runs
from traceana.pool import Progress
from traceana.report import SCHEMA_VERSION, Comparison, Report, RunReport
from traceana.settings import Settings
from traceana.trace.remote import located

if TYPE_CHECKING:
    import pandas as pd

_FRAME = '<iframe style="width:100%;height:40em;border:0" srcdoc="{}"></iframe>'


class Shown:
    """Something with a page: `to_html` gives it, and a notebook shows it."""

    _page: Callable[[], Report]

    def to_html(self) -> str:
        """The report's page, one document that loads nothing."""
        from traceana.render.html import render

        return render(self._page())

    def _repr_html_(self) -> str:
        return _FRAME.format(html.escape(self.to_html()))


@dataclass(frozen=True, eq=False)
class Run(Shown):
    """One run that was read.

    `report` holds all of its numbers, as `report.json` does. Tables name a nested field with a dot, such as
    `duration_ns.p50`.
    """

    analyzed: AnalyzedRun

    @property
    def report(self) -> RunReport:
        """The run's part of `report.json`."""
        return self.analyzed.report

    @property
    def label(self) -> str:
        """The run's name."""
        return self.report.label

    @property
    def ranks(self) -> "pd.DataFrame":
        """A row a rank: how it spent its window, in ns."""
        found: pd.DataFrame = _frame(self.report.ranks).set_index("rank")
        return found

    @property
    def steps(self) -> "pd.DataFrame":
        """A row a step, in order, ns; empty where the run does not tell its steps."""
        return _frame(self.report.steps)

    @property
    def operations(self) -> "pd.DataFrame":
        """A row an operation, size, group size and backend: counts, times in ns, busbw in GB/s."""
        return _frame(self.report.operations)

    @property
    def calls(self) -> "pd.DataFrame":
        """A row a rank's call.

        Columns are those of `collectives.parquet`: `rank`, `op`, `dtype`, `message_bytes`, `group_size`, `group_name`,
        `backend`, `library`, `site`, `seq`, `collective` (the same on all ranks of one call), `step`, `warm_up`, and in
        ns `start_ns`, `duration_ns`, `exposed_ns`, `wait_ns`, `transfer_ns`.
        """
        import pandas as pd
        import pyarrow as pa

        from traceana.saved import calls

        kinds = {pa.int64(): pd.Int64Dtype(), pa.string(): pd.StringDtype(), pa.bool_(): pd.BooleanDtype()}
        found: pd.DataFrame = calls.table([self.analyzed]).drop_columns(["run"]).to_pandas(types_mapper=kinds.get)
        return found

    def _page(self) -> Report:
        return _report([self], ())

    def __repr__(self) -> str:
        report, calls = self.report, self.report.coverage.collectives
        return f"<Run {report.label}: {len(report.ranks)} of {report.world_size} ranks, {calls} calls>"


@dataclass(frozen=True, eq=False)
class Compared(Shown):
    """Two sides set against each other; `comparison` is what `report.json` holds of it."""

    baseline: tuple[Run, ...]
    candidate: tuple[Run, ...]
    comparison: Comparison

    @property
    def sentence(self) -> str:
        """The verdict in a sentence or two."""
        return self.comparison.sentence

    @property
    def rows(self) -> "pd.DataFrame":
        """A row an operation and size: times in ns, speed-up with its interval, verdict, worth in ns a step."""
        return _frame(self.comparison.rows)

    @property
    def end_to_end(self) -> "pd.DataFrame":
        """A row an end-to-end time: step, request, exposed communication a step; in ns."""
        return _frame(self.comparison.end_to_end)

    def _page(self) -> Report:
        return _report([*self.baseline, *self.candidate], (self.comparison,))

    def __repr__(self) -> str:
        return f"<Compared {self.comparison.baseline} with {self.comparison.candidate}: {self.sentence}>"


def read(path: str | Path, *, workers: int = 0) -> Run:
    """The one run in `path`: a run's folder, a trace, or a `report.json`; `workers` 0 means one a core.

    Raises TraceanaError where it holds none, or several: `read_all` reads those.
    """
    found = read_all(path, workers=workers)
    if len(found) != 1:
        labels = ", ".join(run.label for run in found)
        raise TraceanaError(f"{path} holds {len(found)} runs ({labels}): name one, or use traceana.read_all")
    return found[0]


def read_all(*paths: str | Path, workers: int = 0) -> list[Run]:
    """Every run in `paths`, in their order. Raises TraceanaError where there is none."""
    inputs = sort_inputs([located(path) for path in paths])
    if inputs.perf_dumps:
        raise TraceanaError(f"{inputs.perf_dumps[0][0]} is a perf dump, no run; `traceana compare` reads these")
    return [Run(run) for run in runs_of(inputs, workers, lambda _done, _all, _file: None)]


def runs_of(inputs: Inputs, workers: int, progress: Progress) -> list[AnalyzedRun]:
    """The runs of traces and of saved reports, in the order of their paths. Raises TraceanaError."""
    from traceana.saved.read import runs_of_report, with_unique_labels

    traced = read_runs(inputs.traces, Settings(workers=workers), progress)[0] if inputs.traces else []
    saved = with_unique_labels({path: runs_of_report(path) for path in inputs.reports}, traced)
    return in_order(inputs, traced, saved)


def compare(baseline: Run | Sequence[Run], candidate: Run | Sequence[Run]) -> Compared:
    """Whether `candidate` is faster than `baseline`, where, and what it is worth; several runs are repeats of a side.

    Raises TraceanaError where a side has no run.
    """
    first, second = (tuple([side] if isinstance(side, Run) else side) for side in (baseline, candidate))
    if not first or not second:
        raise TraceanaError("a side of the comparison has no run: name one or more for each")
    found = compare_sides(_side(first), _side(second))
    return Compared(baseline=first, candidate=second, comparison=found)


def _side(runs: Sequence[Run]) -> Side:
    return Side(label=runs[0].report.side, runs=tuple(run.analyzed for run in runs))


def _report(runs: Sequence[Run], comparisons: tuple[Comparison, ...]) -> Report:
    from traceana import __version__

    return Report(
        schema_version=SCHEMA_VERSION,
        traceana_version=__version__,
        runs=tuple(run.report for run in runs),
        comparisons=comparisons,
        passed_over=(),
    )


def _frame(rows: Iterable[Any]) -> "pd.DataFrame":
    import pandas as pd

    found: pd.DataFrame = pd.DataFrame([_flat(row) for row in rows]).convert_dtypes()
    return found


def _flat(row: msgspec.Struct, prefix: str = "") -> dict[str, Any]:
    """Fields by name, those of nested values with a dot; lists are left to the report."""
    found: dict[str, Any] = {}
    for name in row.__struct_fields__:
        value = getattr(row, name)
        if isinstance(value, msgspec.Struct):
            found.update(_flat(value, f"{prefix}{name}."))
        elif not isinstance(value, tuple):
            found[prefix + name] = value
    return found
