"""Every operation of every run in numbers, to sort and to filter."""

import msgspec

from traceana.render.page.marks import RunMark, marked_runs
from traceana.render.page.section import Section
from traceana.report import HostCalls, Operation, Report, SteadyCalls


class OperationRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the table; `times` are of the steady calls, or of all where there is no steady one."""

    run: RunMark
    data: Operation
    times: Operation | SteadyCalls

    @property
    def warm_up(self) -> int:
        """Calls that are not in `times`."""
        return self.data.count - self.times.count

    @property
    def algbw_gbps(self) -> float | None:
        """At the same time as `times.busbw_gbps`."""
        algbw, busbw, steady = self.data.algbw_gbps, self.data.busbw_gbps, self.times.busbw_gbps
        return algbw * steady / busbw if algbw and busbw and steady else None


def operation_rows(report: Report) -> tuple[OperationRow, ...]:
    """All operations of all runs, those that take most time first."""
    rows = [
        OperationRow(run=mark, data=operation, times=operation.steady or operation)
        for mark, run in marked_runs(report)
        for operation in run.operations
    ]
    return tuple(sorted(rows, key=lambda row: -row.data.duration_ns.sum))


class HostRow(msgspec.Struct, frozen=True, kw_only=True):
    """Calls that ran on the host beside the GPU's."""

    run: RunMark
    data: HostCalls


class AllCalls(msgspec.Struct, frozen=True, kw_only=True):
    """The section's tables; `host` is empty where nothing ran on the host beside a GPU."""

    rows: tuple[OperationRow, ...]
    host: tuple[HostRow, ...]


def _all_calls(report: Report) -> AllCalls:
    host = tuple(HostRow(run=mark, data=calls) for mark, run in marked_runs(report) for calls in run.host_calls)
    return AllCalls(rows=operation_rows(report), host=host)


SECTION = Section(name="all_calls", title="All calls", view=_all_calls)
