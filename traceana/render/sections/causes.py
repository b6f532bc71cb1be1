"""Why communication is exposed, why nothing covers it, and why the GPU is idle, with what can be done."""

from collections.abc import Sequence

import msgspec

from traceana.render.answer.causes import EXPOSED_IS, IDLE_BY, UNCOVERED_BY, Cause, Explained, T, explained
from traceana.render.page.marks import RunMark, runs_by_side
from traceana.render.page.section import Section
from traceana.report import Operation, Report, RunReport

MOST_OPERATIONS = 12


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """One question of a side and its answer, whose parts add up to `ns`, the time of a mean rank of a mean run."""

    text: str
    ns: float
    parts: tuple[Explained, ...]


class OperationCauses(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the operations table, a mean rank's times in ns, in the order of the columns."""

    op: str
    message_bytes: int | None
    exposed_ns: float
    exposed_is: tuple[float, ...]
    uncovered_by: tuple[float, ...]


class SideCauses(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a side's runs together."""

    side: RunMark
    questions: tuple[Question, ...]
    operations: tuple[OperationCauses, ...]


class Causes(msgspec.Struct, frozen=True, kw_only=True):
    """All sides with causes, and the heads of the columns of their operations."""

    sides: tuple[SideCauses, ...]
    exposed_is: tuple[str, ...]
    uncovered_by: tuple[str, ...]


def causes(report: Report) -> Causes | None:
    """The causes of every side that has any; None without one: nothing is known of them on a trace of the host."""
    found = tuple(_of_side(mark, runs) for mark, runs in runs_by_side(report).items())
    known = tuple(one for one in found if one.questions)
    if not known:
        return None
    return Causes(sides=known, exposed_is=_names(EXPOSED_IS), uncovered_by=_names(UNCOVERED_BY))


def _names(every: tuple[Cause[T], ...]) -> tuple[str, ...]:
    return tuple(cause.name for cause in every)


def _of_side(mark: RunMark, runs: Sequence[RunReport]) -> SideCauses:
    ranks = [rank for run in runs for rank in run.ranks]
    asked = (
        ("What is the exposed communication?", explained((rank.exposed_is for rank in ranks), EXPOSED_IS)),
        ("Why does no compute cover it?", explained((rank.uncovered_by for rank in ranks), UNCOVERED_BY)),
        ("Why is the GPU idle?", explained((rank.idle_by for rank in ranks), IDLE_BY)),
    )
    return SideCauses(
        side=mark,
        questions=tuple(
            Question(text=text, ns=sum(part.ns for part in parts), parts=parts) for text, parts in asked if parts
        ),
        operations=_operations(runs, max(1, len(ranks))),
    )


def _operations(runs: Sequence[RunReport], ranks: int) -> tuple[OperationCauses, ...]:
    """Those with the most exposed time."""
    by_kind: dict[tuple[str, int | None], list[Operation]] = {}
    for operation in (operation for run in runs for operation in run.operations):
        if operation.exposed_is and operation.uncovered_by and operation.exposed_ns:
            by_kind.setdefault((operation.op, operation.message_bytes), []).append(operation)
    rows = [_operation(*kind, operations, ranks) for kind, operations in by_kind.items()]
    return tuple(sorted(rows, key=lambda row: -row.exposed_ns)[:MOST_OPERATIONS])


def _operation(op: str, message_bytes: int | None, operations: Sequence[Operation], ranks: int) -> OperationCauses:
    exposed_is = [one.exposed_is for one in operations if one.exposed_is]
    uncovered_by = [one.uncovered_by for one in operations if one.uncovered_by]
    return OperationCauses(
        op=op,
        message_bytes=message_bytes,
        exposed_ns=sum(one.exposed_ns for one in operations) / ranks,
        exposed_is=tuple(sum(map(cause.ns, exposed_is)) / ranks for cause in EXPOSED_IS),
        uncovered_by=tuple(sum(map(cause.ns, uncovered_by)) / ranks for cause in UNCOVERED_BY),
    )


SECTION = Section(name="causes", title="Why it takes the time", view=causes)
