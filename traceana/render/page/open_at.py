"""What to type to see a span or a wait of a run on the timeline."""

import shlex
from pathlib import Path

from traceana.analyze.numbered import base_name
from traceana.report import RunReport
from traceana.trace.remote import RemotePath, path_of

WORST_WAIT = "worst-wait"
MOST_FILES = 16
"""More make no command that anyone pastes; then the folder stands for them."""


def open_command(run: RunReport, at: str) -> str:
    """What to type to see `at`, a span's name or "worst-wait OPERATION", on the timeline of the run.

    A run of files that were named one by one has these named again.
    """
    paths = run.named_files if 0 < len(run.named_files) <= MOST_FILES else (run.path,)
    return shlex.join(["traceana", "open", *(str(Path(path)) for path in paths), "--at", at])


def of_span(run: RunReport, name: str) -> str | None:
    """The command that opens Perfetto at the first execution of a span, named as in the trace."""
    return _pasteable(run, open_command(run, name))


def of_numbered_span(run: RunReport, name: str) -> str | None:
    """The same, None where the name carries no number: it may be any of many executions."""
    return of_span(run, name) if base_name(name) != name else None


def of_worst_wait(run: RunReport, op: str = "") -> str | None:
    """The command that opens Perfetto at the longest wait of an operation or, without one, of the run."""
    return _pasteable(run, open_command(run, f"{WORST_WAIT} {op}".rstrip()))


def _pasteable(run: RunReport, command: str) -> str | None:
    # `open` serves files of a disk. Quotes do not stop a terminal from obeying control characters in a name that a
    # trace brought.
    return command if command.isprintable() and not isinstance(path_of(run.path), RemotePath) else None
