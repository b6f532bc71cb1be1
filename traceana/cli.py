"""The command line. Each command's module loads only when that command runs, so `--help` stays quick."""

import difflib
import gc
import importlib
import sys
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from traceana import __version__
from traceana.commands.closed_pipe import outlive_readers
from traceana.defaults import check, of_folder
from traceana.errors import TraceanaError

COMMANDS = {
    "analyze": "Turn per-rank traces into a report that compares backends.",
    "compare": "Compare runs, reports or sglang's perf dumps, with an exit code for a gate.",
    "capture": "Run a command unchanged and keep one trace per rank.",
    "window": "Open and close windows on a program that runs under capture.",
    "rescue": "Publish the traces of a run that was killed before it could.",
    "whatif": "Replay a run with something changed: how long would its step take?",
    "bench": "Measure collectives by operation, size and backend.",
    "sweep": "Run a command under many settings, in random turns, and rank them.",
    "tune": "Search NCCL's variables on a job, and name what is certainly better.",
    "measure": "Measure traces where they are, for analyze to join.",
    "merge": "Put all ranks into one Chrome trace for Perfetto.",
    "open": "Show a run in Perfetto, all ranks on one timeline.",
    "doctor": "Check what this machine, a command or a run can tell.",
    "demo": "Capture two small sides here, analyze them and say where the report is.",
}


# They run programs under capture, which is made of Linux's sessions, signals and /proc.
NEED_LINUX = ("capture", "window", "rescue", "sweep", "tune")

_OBJECTS_BETWEEN_COLLECTIONS = 100_000


class LazyGroup(click.Group):
    """Lists commands from COMMANDS and imports `traceana.commands.NAME` on demand."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order in which a newcomer meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command's click object, or None for a name that is not in COMMANDS."""
        if cmd_name not in COMMANDS:
            return None
        if cmd_name in NEED_LINUX and not sys.platform.startswith("linux"):
            raise TraceanaError(
                f"traceana {cmd_name} needs Linux; analyze, compare, merge and open work here with traces from there"
            )
        command = importlib.import_module(f"traceana.commands.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command of the first word; one that is mistyped is answered with the nearest that there is."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-") and not ctx.resilient_parsing:
            close = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f"did you mean {close[0]}?" if close else "see `traceana --help`"
            raise TraceanaError(f"there is no command {args[0]}; {hint}")
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Commands that begin so, none of them imported, and options."""
        commands = [CompletionItem(name, help=does) for name, does in COMMANDS.items() if name.startswith(incomplete)]
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing any of them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "TRACEANA"})
@click.version_option(__version__, prog_name="traceana")
@click.pass_context
def root(context: click.Context) -> None:
    """See what the GPUs of a PyTorch program say to each other, and which backend says it faster."""
    defaults = of_folder(Path.cwd(), list(COMMANDS))
    name = context.invoked_subcommand
    if name in defaults:
        _check(context, name, defaults[name])
    context.default_map = defaults


def _check(context: click.Context, name: str, options: dict[str, Any]) -> None:
    command = root.get_command(context, name)
    assert command is not None
    check(name, options, [parameter.name for parameter in command.params if parameter.name])


def main() -> None:
    """Run the command line; a TraceanaError becomes one line on stderr and its exit code."""
    # What a command makes it mostly keeps: to look through it after every 700 objects takes a tenth of its time.
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    outlive_readers()
    try:
        root()
    except TraceanaError as error:
        click.echo(f"traceana: {error}", err=True)
        sys.exit(error.exit_code)
