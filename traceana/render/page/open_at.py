"""What to type to see a span or a wait of a run on the timeline."""

import shlex
from pathlib import Path

from traceana.analyze.frames import base_name
from traceana.report import RunReport

WORST_WAIT = "worst-wait"


def open_command(path: Path, at: str) -> str:
    """What to type to see `at`, a span's name or "worst-wait OPERATION", on the timeline of the run at `path`."""
    return shlex.join(["traceana", "open", str(path), "--at", at])


def of_span(run: RunReport, name: str) -> str | None:
    """The command that opens Perfetto at the first execution of a span, named as in the trace."""
    return _pasteable(open_command(Path(run.path), name))


def of_numbered_span(run: RunReport, name: str) -> str | None:
    """The same, None where the name carries no number: it may be any of many executions."""
    return of_span(run, name) if base_name(name) != name else None


def of_worst_wait(run: RunReport, op: str = "") -> str | None:
    """The command that opens Perfetto at the longest wait of an operation or, without one, of the run."""
    return _pasteable(open_command(Path(run.path), f"{WORST_WAIT} {op}".rstrip()))


def _pasteable(command: str) -> str | None:
    # Quotes do not stop a terminal from obeying control characters in a name that a trace brought.
    return command if command.isprintable() else None
