"""`traceana sweep PLAN -- CMD …`: one command under many settings, measured in random turns, ranked."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from traceana.commands.paths import DiskPath
from traceana.commands.sections import SectionedCommand
from traceana.plain import say, say_json

if TYPE_CHECKING:
    from traceana.sweep.report import SweepReport

_EXAMPLES = """
\b
Examples:
  traceana sweep -o DIR --axis size=1,2 --axis nccl=plain,no-p2p -- \\
      CMD --size {size}
  traceana sweep wan-sp -o DIR --set model=/models/wan
  traceana sweep wan-sp --print
  traceana sweep plan.yaml -o DIR --dry-run
  traceana sweep -o DIR --axis backend=torch,pynccl --metric request -- \\
      sglang generate ... --perf-dump-path {perf_dump} --output-path {out}
"""
_SECTIONS = {
    "What to vary": ("axes", "values", "constraints", "gpus", "baseline"),
    "What to measure": ("metric", "repeats", "no_traces", "capture"),
    "Limits": ("run_limit", "time_limit", "gpu_hours"),
    "The sweep": (),
}
COMMAND = "traceana.sweep.command"


class CommandBehind(SectionedCommand):
    """What follows `--` is the command to run, so that a plan can stand before it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the words behind the first `--` aside."""
        before, behind = (args[: args.index("--")], args[args.index("--") + 1 :]) if "--" in args else (args, [])
        ctx.meta[COMMAND] = tuple(behind)
        return super().parse_args(ctx, before)


@click.command("sweep", cls=CommandBehind, sections=_SECTIONS, epilog=_EXAMPLES)
@click.option(
    "--axis",
    "axes",
    multiple=True,
    metavar="NAME=V,V",
    help="Vary {NAME} in CMD, or backend, nccl (presets, plain), env.VARIABLE (unset).",
)
@click.option("--set", "values", multiple=True, metavar="NAME=VALUE", help="Fill {NAME} in CMD.")
@click.option("--where", "constraints", multiple=True, metavar="EXPR", help="Only cells such as 'ulysses * ring == 4'.")
@click.option("--gpus", metavar="EXPR", help="GPUs of a cell, such as 'tp * 2'.  [default: the axis gpus]")
@click.option("--baseline", default="", metavar="NAME=V,…", help="Hold cells against this one.  [default: the first]")
@click.option(
    "--metric",
    metavar="NAME",
    help="wall, request, step, throughput, exposed, an operation, or output:REGEX.  [default: wall]",
)
@click.option("--repeats", type=click.IntRange(min=1), metavar="N", help="Timed runs of each cell.  [default: 3]")
@click.option("--no-traces", is_flag=True, help="Leave out the traced run of each cell, which says why.")
@click.option("--capture", default="", metavar="OPTIONS", help="For the traced runs, such as '--warmup 1 --steps 3'.")
@click.option("--timeout", "run_limit", default="", metavar="TIME", help="End a run after so long, such as 10m.")
@click.option("--time-limit", default="", metavar="TIME", help="Stop before the runs take longer together.")
@click.option("--gpu-hours", type=click.FloatRange(min=0), metavar="H", help="Stop before they cost more.")
@click.option("--seed", type=int, metavar="N", help="Of the order of runs.  [default: 0]")
@click.option(
    "-o",
    "--output",
    type=DiskPath(path_type=Path),
    metavar="DIR",
    default=Path("sweep"),
    show_default=True,
    help="Runs, traces, journal and report; the same command again goes on there.",
)
@click.option("--dry-run", is_flag=True, help="Say cells, order and expected time, and run nothing.")
@click.option("--print", "print_plan", is_flag=True, help="Print the built-in PLAN and leave.")
@click.option(
    "--format",
    "form",
    type=click.Choice(("text", "md", "json")),
    metavar="FORM",
    default="text",
    show_default=True,
    help="text, md or json.",
)
@click.argument("plan_name", metavar="[PLAN] -- CMD …", required=False)
@click.pass_context
def command(
    context: click.Context,
    plan_name: str | None,
    axes: tuple[str, ...],
    values: tuple[str, ...],
    constraints: tuple[str, ...],
    gpus: str | None,
    baseline: str,
    metric: str | None,
    repeats: int | None,
    no_traces: bool,
    capture: str,
    run_limit: str,
    time_limit: str,
    gpu_hours: float | None,
    seed: int | None,
    output: Path,
    dry_run: bool,
    print_plan: bool,
    form: str,
) -> None:
    """Run CMD with every combination of the axes' values, each several times in random turns, and rank them.

    PLAN is a YAML file, or flux-tp, wan-sp, wan-usp or wan-cfg, whose command CMD continues. In CMD, {out} and
    {perf_dump} are each run's own folder and file. Exits with 1 where no cell ran through with the right output.
    """
    import shlex

    from traceana.sweep import read_plan
    from traceana.sweep.whole import Sweep

    if print_plan:
        click.echo(read_plan.text_of(plan_name or ""), nl=False)
        return
    flags = read_plan.Flags(
        command=context.meta[COMMAND],
        axes=axes,
        values=values,
        constraints=constraints,
        gpus=gpus,
        repeats=repeats,
        metric=metric,
        baseline=baseline,
        run_limit=run_limit,
        time_limit=time_limit,
        gpu_hours=gpu_hours,
        traced=False if no_traces else None,
        seed=seed,
    )
    sweep = Sweep(read_plan.plan_of(plan_name, flags), output, shlex.split(capture))
    if dry_run:
        click.echo("\n".join(sweep.preview()))
        return
    report = sweep.go(lambda text: say(text, err=True))
    show(report, form, output)
    if report.winner is None:
        sys.exit(1)


def show(report: "SweepReport", form: str, output: Path) -> None:
    """Print it in the form asked for."""
    import msgspec

    from traceana.render.text.tables import markdown
    from traceana.render.text.tables import show as show_tables
    from traceana.sweep.text import tables

    if form == "json":
        say_json(msgspec.json.encode(report))
    elif form == "md":
        click.echo(markdown(tables(report)), nl=False)
    else:
        show_tables(tables(report))
    say(f"report: {output / 'report.html'}", err=form != "text")
