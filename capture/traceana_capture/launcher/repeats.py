"""Runs one command several times: repeats of a setting, and two settings in turn, so that drift strikes both alike."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click

from traceana.errors import TraceanaError
from traceana_capture.launcher import backends, captured_run
from traceana_capture.launcher.job import Job
from traceana_capture.launcher.nccl_settings import settings_of
from traceana_capture.launcher.options import BACKENDS, Options
from traceana_capture.launcher.others import Turn
from traceana_capture.launcher.run_folder import refuse_earlier, run_name

RUN = "{run}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One setting of a comparison: the label of its runs, and how they run."""

    label: str
    options: Options


def sides(options: Options, label: str | None, versus: str | None, nccl: tuple[str, ...]) -> tuple[Side, ...]:
    """The setting asked for and, where `versus` names a backend or a preset of NCCL, the one to hold against it.

    `nccl` are the single KEY=VALUE settings, which hold for both. Raises TraceanaError where `versus` changes nothing.
    """
    if versus is None:
        return (Side(label=label or "run", options=options),)
    if versus in (options.backend, *options.presets):
        raise TraceanaError(f"--versus {versus} is how the run goes already; name another backend or preset")
    if versus in BACKENDS:
        names, other = (options.backend, versus), replace(options, backend=versus)
    else:
        presets = (*options.presets, versus)
        names = ("+".join(options.presets) or "plain", "+".join(presets))
        other = replace(options, presets=presets, nccl=settings_of(presets, nccl))
    prefix = f"{label}-" if label else ""
    return tuple(
        Side(label=prefix + name, options=choice) for name, choice in zip(names, (options, other), strict=True)
    )


def capture(chosen: Sequence[Side], output: Path, repeats: int, *, force: bool, job: Job | None = None) -> int:
    """Run every side `repeats` times, A B A B …; stops at the first run that fails and returns its exit code.

    Launchers of one `job` begin each run together. Raises TraceanaError where a run cannot start; before the first one,
    where a folder of any is taken, a backend of any cannot be had, or nothing tells how many launchers to wait for.
    """
    runs = list(_in_turn(chosen, repeats))
    folders = [output / run_name(side.label, repeat) for side, repeat in runs]
    for side in chosen:
        backends.check_machine(side.options.backend, side.options.paired, side.options.ranks)
        backends.check_program(side.options.backend, side.options.argv, side.options.paired)
    refuse_earlier(folders, force, job)
    if len(runs) > 1 and job is not None and job.launchers is None:
        raise TraceanaError("--repeat and --versus need to know how many nodes there are; say it with --nodes N")
    turns = [Turn(before=folder) for folder in (None, *folders)] if len(runs) > 1 else [None]
    for number, ((side, repeat), turn) in enumerate(zip(runs, turns, strict=False), start=1):
        if len(runs) > 1 and sys.stderr.isatty():
            click.echo(f"traceana: run {number} of {len(runs)}: {run_name(side.label, repeat)}", err=True)
        options = named(side.options, run_name(side.label, repeat))
        code = captured_run.capture(options, output, side.label, repeat=repeat, force=force, job=job, turn=turn)
        if code:
            return code
    return 0


def named(options: Options, name: str) -> Options:
    """The options with the run's name for {run} in the command, so that each run has files of its own."""
    return replace(options, argv=tuple(word.replace(RUN, name) for word in options.argv))


def _in_turn(chosen: Sequence[Side], repeats: int) -> Iterator[tuple[Side, int | None]]:
    for repeat in range(1, repeats + 1):
        for side in chosen:
            yield side, repeat if repeats > 1 else None
