"""Runs a command of traceana in this process, as the installed script would."""

import contextlib
import io
import sys
from pathlib import Path
from unittest import mock

from traceana.cli import main


def run(*arguments: str | Path) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `traceana ARGUMENTS`."""
    words = ["traceana", *map(str, arguments)]
    stdout, stderr = io.StringIO(), io.StringIO()
    code = 0
    with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr), mock.patch.object(sys, "argv", words):
        try:
            main()
        except SystemExit as exit_:
            code = exit_.code if isinstance(exit_.code, int) else int(exit_.code is not None)
    return code, stdout.getvalue(), stderr.getvalue()


def traceana(*arguments: str | Path) -> str:
    """Stdout of a command that must succeed."""
    code, stdout, stderr = run(*arguments)
    assert code == 0, stderr
    return stdout


def refused(*arguments: str | Path) -> str:
    """The message of a command that must fail with a message for the user."""
    code, _, stderr = run(*arguments)
    assert code == 2, stderr
    assert "Traceback" not in stderr
    return stderr
