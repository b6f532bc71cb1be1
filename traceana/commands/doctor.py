"""`traceana doctor`: can this machine, this command, this run tell what is asked of it?"""

import os
import sys
from functools import partial
from pathlib import Path

import click

from traceana.commands.paths import DiskPath
from traceana.doctor.findings import LEVELS, Check, Finding, failed, gathered
from traceana.needs import need
from traceana.plain import plain, say_json

_EXAMPLES = """
\b
Examples:
  traceana doctor
  traceana doctor --full
  traceana doctor -- sglang generate --num-gpus 2
  traceana doctor traces/pynccl
  traceana doctor --format json > doctor.json
"""
_STYLES = {"failure": "red", "warning": "yellow", "could not check": "dim", "ok": "green"}


@click.command("doctor", epilog=_EXAMPLES)
@click.option("--quick", is_flag=True, help="Start no ranks: only look.")
@click.option("--full", is_flag=True, help="Also a short bench of every backend.")
@click.option(
    "-o",
    "--output",
    type=DiskPath(path_type=Path),
    metavar="DIR",
    default=Path("traces"),
    show_default=True,
    help="Where traces would be written.",
)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[PATH …] [-- CMD …]")
def command(quick: bool, full: bool, output: Path, form: str, words: tuple[str, ...]) -> None:
    """Check this machine, the Python of a CMD, or the runs in PATH.

    Each line says what was seen and what to do. Exit code 1 where something fails.
    """
    paths, argv = _divided(words, sys.argv)
    found = _of_runs(paths) if paths else _of_machine(argv, output, quick=quick or (bool(argv) and not full), full=full)
    if form == "json":
        import msgspec

        say_json(msgspec.json.encode({"findings": found}))
    else:
        _print(found)
    sys.exit(failed(found))


def _divided(words: tuple[str, ...], line: list[str]) -> tuple[list[Path], list[str]]:
    """Paths, and the command behind `--`, which click leaves out of `words`."""
    behind = len(line) - line.index("--") - 1 if "--" in line else 0
    cut = len(words) - behind
    return [Path(word) for word in words[:cut]], list(words[cut:])


def _of_machine(argv: list[str], output: Path, *, quick: bool, full: bool) -> list[Finding]:
    from traceana.doctor import gpus, host, program

    checks: list[Check] = [
        ("GPUs", gpus.checked),
        ("program", partial(program.checked, argv)),
        ("environment", partial(host.environment, os.environ)),
        ("shared memory", host.shared_memory),
        ("open files", host.open_files),
        ("disk", partial(host.disk, output)),
        ("network", host.network),
    ]
    return gathered(checks if quick else [*checks, ("backends", partial(_called, full=full))])


def _called(*, full: bool) -> list[Finding]:
    need("torch", "a call of each backend")
    from traceana.doctor import trial

    return trial.checked(full=full)


def _of_runs(paths: list[Path]) -> list[Finding]:
    from traceana.commands.progress import progress_bar
    from traceana.doctor import recording
    from traceana.pipeline import analyze
    from traceana.settings import Settings

    with progress_bar("reading traces") as progress:
        return recording.checked(analyze(paths, Settings(), progress).report)


def _print(found: list[Finding]) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    for finding in found:
        line = Text.assemble(
            (f"{finding.level:<16}", _STYLES[finding.level]), plain(f"{finding.check}: {finding.evidence}")
        )
        console.print(line)
        if finding.advice:
            console.print(Text(f"{'':<16}→ {plain(finding.advice)}"))
    counted = {level: sum(finding.level == level for finding in found) for level in LEVELS}
    console.print(Text(", ".join(f"{count} {level}" for level, count in counted.items() if count)))
