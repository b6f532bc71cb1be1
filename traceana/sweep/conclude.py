"""From the journal to the report: cells in order of their place, and the answer in a sentence."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from traceana_capture.launcher.captured_run import RECORDED
from traceana_capture.masks import masked_values, masked_words

from traceana import __version__, units
from traceana.errors import TraceanaError
from traceana.report import RunReport
from traceana.sweep import effects, expressions, parity, standing
from traceana.sweep.causes import cause
from traceana.sweep.cells import Cell
from traceana.sweep.journal import Record
from traceana.sweep.metric import Metric
from traceana.sweep.order import Kind, Turn
from traceana.sweep.plan import Plan, placeholders
from traceana.sweep.report import SCHEMA_VERSION, Parity, SweepCell, SweepReport
from traceana.sweep.runner import OUT, TRACES, read_trace, run_folder, shell_lines, trace_name
from traceana.sweep.samples import Sample, interval_ns, samples
from traceana.sweep.series import Known


def conclude(
    plan: Plan,
    metric: Metric,
    cells: Sequence[Cell],
    baseline: Cell,
    records: Sequence[Record],
    folder: Path,
    unfinished: str | None = None,
) -> SweepReport:
    """The sweep as far as it has come."""
    known = samples(records)
    failed = Known(records).failed_cells
    # In the plan's order, in which cells of the very same time stay.
    labels = [cell.label for cell in cells]
    usable = {label: known[label] for label in labels if label in known and label not in failed}
    traces = _traces(cells, records, folder)
    alike = _parity(plan, cells, baseline, records, folder)
    place = _Place(plan, metric, cells, baseline, usable, alike)
    found = [_cell(cell, place, known.get(cell.label), records, traces.get(cell.label)) for cell in cells]
    found.sort(key=lambda one: (one.place is None, one.place or 0))
    return SweepReport(
        schema_version=SCHEMA_VERSION,
        traceana_version=__version__,
        name=plan.name,
        command=masked_words(plan.command),
        metric=metric.name,
        metric_title=metric.title,
        axes=tuple((axis.name, tuple(choice.label for choice in axis.choices)) for axis in plan.axes),
        repeats=plan.repeats,
        baseline=baseline.label,
        sentence=_sentence(found, place.winner, baseline.label),
        winner=place.winner,
        unfinished=unfinished,
        cells=tuple(found),
        effects=effects.effects(plan.axes, cells, usable),
        expected=effects.expected_gains(plan, cells, usable),
        versions=tuple(dict(pair for run in traces.values() for pair in run.versions).items()),
        environment=tuple(inherited().items()),
        hardware=tuple(dict.fromkeys(gpu for run in traces.values() for gpu in run.gpus)),
    )


def inherited() -> dict[str, str]:
    """The variables of this process that change communication, secrets masked."""
    return masked_values({name: value for name, value in sorted(os.environ.items()) if name.startswith(RECORDED)})


class _Place:
    """How cells stand to each other."""

    def __init__(
        self,
        plan: Plan,
        metric: Metric,
        cells: Sequence[Cell],
        baseline: Cell,
        usable: Mapping[str, Sample],
        alike: Mapping[str, Parity],
    ) -> None:
        self.metric = metric
        self.parity = alike
        self.samples = usable
        self.order = standing.ranked(usable)
        self.against = standing.against(baseline.label, usable)
        tied = standing.tied(usable) if usable else frozenset()
        first = self.against.get(self.order[0]) if self.order else None
        # Verdicts against the baseline are a smaller family than ties, and may tell what these do not.
        self.tied = tied - {baseline.label} if first and first.verdict == "faster" else tied
        # A time that is multiplied by GPUs already shows how well they are used.
        scaled = [] if metric.per_gpu else cells
        axes = expressions.names(plan.gpus) if plan.gpus else frozenset[str]()
        self.scaling = standing.scaling(scaled, usable, axes)
        self.pareto = standing.pareto(scaled, usable)
        right = [label for label in self.order if self.differs(label) is None]
        self.winner = right[0] if right else None

    def differs(self, label: str) -> str | None:
        """What its output differs in from the baseline's, if it does."""
        found = self.parity.get(label)
        return found.detail if found and found.status == "differs" else None


def _cell(
    cell: Cell, place: _Place, sample: Sample | None, records: Sequence[Record], trace: RunReport | None
) -> SweepCell:
    label = cell.label
    own = [record for record in records if record.cell == label]
    usable = label in place.samples
    failures = [record for record in own if record.failure]
    failure = failures[-1] if failures and not usable else None
    bounds = interval_ns(sample) if sample else None
    time_ns = sample.time_ns if sample else None
    return SweepCell(
        label=label,
        name=cell.name,
        settings=cell.settings,
        gpus=cell.gpus,
        values_ns=sample.values_ns if sample else (),
        warm_up_ns=sample.warm_up_ns if sample else None,
        warm_up_counts=bool(sample and sample.warm_up_counts),
        time_ns=time_ns,
        low_ns=bounds[0] if bounds else None,
        high_ns=bounds[1] if bounds else None,
        gpu_time_ns=_gpu_time(time_ns, cell, place.metric),
        place=place.order.index(label) + 1 if label in place.order else None,
        tied=label in place.tied,
        pareto=label in place.pareto,
        against_baseline=place.against.get(label),
        scaling=place.scaling.get(label),
        parity=place.parity.get(label),
        cause=cause(trace) if trace else None,
        peak_memory_bytes=max(
            (record.peak_memory_bytes for record in own if record.peak_memory_bytes is not None), default=None
        ),
        failure=failure.failure if failure else None,
        last_lines=failure.last_lines if failure else (),
        shell=shell_lines(cell),
        commits=tuple(dict.fromkeys(record.commit for record in own if record.commit)),
    )


def _gpu_time(time_ns: int | None, cell: Cell, metric: Metric) -> int | None:
    if time_ns is None or metric.per_gpu:
        return time_ns
    return time_ns * cell.gpus if cell.gpus else None


def _traces(cells: Sequence[Cell], records: Sequence[Record], folder: Path) -> dict[str, RunReport]:
    """The traced run of each cell that has one; one that cannot be read any more is left out."""
    done = {record.cell for record in records if record.kind == Kind.TRACED and not record.failure}
    found = {}
    for cell in cells:
        if cell.label in done:
            turn = Turn(cell=cell, kind=Kind.TRACED, repeat=1)
            try:
                found[cell.label] = read_trace(folder / TRACES / trace_name(turn))
            except TraceanaError:
                continue
    return found


def _parity(
    plan: Plan, cells: Sequence[Cell], baseline: Cell, records: Sequence[Record], folder: Path
) -> dict[str, Parity]:
    """Of every cell but the baseline, where the command writes files."""
    if OUT not in placeholders(plan.command):
        return {}
    made = {cell.label: _made(cell, records, folder) for cell in cells}
    ours = made[baseline.label]
    return {
        cell.label: parity.compare(ours, made[cell.label]) for cell in cells if cell != baseline and made[cell.label]
    }


def _made(cell: Cell, records: Sequence[Record], folder: Path) -> list[parity.Made]:
    turns = {
        record.repeat: record
        for record in records
        if record.cell == cell.label and record.kind == Kind.TIMED and not record.failure
    }
    return [
        parity.Made(
            folder=run_folder(folder, Turn(cell=cell, kind=Kind.TIMED, repeat=repeat)) / OUT, outputs=record.outputs
        )
        for repeat, record in sorted(turns.items())
    ]


def _sentence(cells: Sequence[SweepCell], winner: str | None, baseline: str) -> str:
    """The answer, and what qualifies it."""
    if winner is None:
        return "No cell ran through." if not any(cell.time_ns for cell in cells) else "No cell makes what it should."
    first = next(cell for cell in cells if cell.label == winner)
    parts = [_opening(first, baseline, cells)]
    others = [cell.label for cell in cells if cell.tied and cell.label != winner]
    if first.tied and others:
        named = ", ".join(others[:3]) + (f" and {len(others) - 3} more" if len(others) > 3 else "")
        parts.append(f"These runs cannot tell it from {named}.")
    wrong = [cell.label for cell in cells if cell.parity and cell.parity.status == "differs" and cell.time_ns]
    if wrong:
        parts.append(
            f"The output differs from the baseline's in {', '.join(wrong[:3])}: no winners, whatever their time."
        )
    failed = sum(cell.failure is not None for cell in cells)
    return " ".join(parts + ([f"{units.plural(failed, 'cell')} failed."] if failed else []))


def _opening(first: SweepCell, baseline: str, cells: Sequence[SweepCell]) -> str:
    its = first.against_baseline
    none = f"No setting is certainly better than the baseline {baseline}"
    if its is None:
        return f"{none}." if len(cells) > 1 else f"{baseline} ran."
    how = f"{units.ratio(its.speedup)}, 95 % interval {units.ratio_range(its.ci_low, its.ci_high)}"
    if its.verdict == "faster":
        return f"{first.label} is fastest: {how}, against the baseline {baseline}."
    return f"{none}; {first.label} comes first ({how}, {its.verdict})."
