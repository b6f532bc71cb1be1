"""Why communication is exposed, why nothing covers it, and why the GPU is idle, with what can be done."""

from dataclasses import dataclass

from traceana.render.answer.causes import EXPOSED_IS, IDLE_BY, UNCOVERED_BY, Cause, Explained, T, explained
from traceana.render.page.marks import RunMark, marked_runs
from traceana.render.page.section import Section
from traceana.report import ExposedIs, Operation, Report, RunReport, UncoveredBy

MOST_OPERATIONS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question of a run and its answer, whose parts add up to `ns`, the time of a mean rank."""

    text: str
    ns: float
    parts: tuple[Explained, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationCauses:
    """One row of the operations table, a mean rank's times in ns, in the order of the columns."""

    data: Operation
    exposed_ns: float
    exposed_is: tuple[float, ...]
    uncovered_by: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCauses:
    """What is known of a run."""

    run: RunMark
    questions: tuple[Question, ...]
    operations: tuple[OperationCauses, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Causes:
    """All runs with causes, and the heads of the columns of their operations."""

    runs: tuple[RunCauses, ...]
    exposed_is: tuple[str, ...]
    uncovered_by: tuple[str, ...]


def causes(report: Report) -> Causes | None:
    """The causes of every run that has any; None without one: nothing is known of them on a trace of the host."""
    found = tuple(_of_run(mark, run) for mark, run in marked_runs(report))
    known = tuple(one for one in found if one.questions)
    if not known:
        return None
    return Causes(runs=known, exposed_is=_names(EXPOSED_IS), uncovered_by=_names(UNCOVERED_BY))


def _names(every: tuple[Cause[T], ...]) -> tuple[str, ...]:
    return tuple(cause.name for cause in every)


def _of_run(mark: RunMark, run: RunReport) -> RunCauses:
    asked = (
        ("What is the exposed communication?", explained((rank.exposed_is for rank in run.ranks), EXPOSED_IS)),
        ("Why does no compute cover it?", explained((rank.uncovered_by for rank in run.ranks), UNCOVERED_BY)),
        ("Why is the GPU idle?", explained((rank.idle_by for rank in run.ranks), IDLE_BY)),
    )
    return RunCauses(
        run=mark,
        questions=tuple(
            Question(text=text, ns=sum(part.ns for part in parts), parts=parts) for text, parts in asked if parts
        ),
        operations=_operations(run),
    )


def _operations(run: RunReport) -> tuple[OperationCauses, ...]:
    """Those with the most exposed time."""
    rows = [
        _operation(operation, operation.exposed_is, operation.uncovered_by, max(1, len(run.ranks)))
        for operation in run.operations
        if operation.exposed_is and operation.uncovered_by and operation.exposed_ns
    ]
    return tuple(sorted(rows, key=lambda row: -row.exposed_ns)[:MOST_OPERATIONS])


def _operation(data: Operation, exposed_is: ExposedIs, uncovered_by: UncoveredBy, ranks: int) -> OperationCauses:
    return OperationCauses(
        data=data,
        exposed_ns=data.exposed_ns / ranks,
        exposed_is=tuple(cause.ns(exposed_is) / ranks for cause in EXPOSED_IS),
        uncovered_by=tuple(cause.ns(uncovered_by) / ranks for cause in UNCOVERED_BY),
    )


SECTION = Section(name="causes", title="Why it takes the time", view=causes)
