"""`traceana tune -- CMD …`: settings searched on the real job, and confirmed on runs that did not choose them."""

from pathlib import Path

import click

from traceana.commands.paths import DiskPath
from traceana.commands.sweep import COMMAND, CommandBehind, show
from traceana.plain import say

_EXAMPLES = """
\b
Examples:
  traceana tune -o DIR -- torchrun --nproc-per-node 2 train.py
  traceana tune --axis env.NCCL_MAX_CTAS=4,8 -- CMD
  traceana tune --axis backend=torch,pynccl --metric request -- \\
      sglang generate ... --perf-dump-path {perf_dump} --output-path {out}
"""
_SECTIONS = {
    "What to try": ("axes", "values", "constraints", "candidates"),
    "What to measure": ("metric", "repeats", "gpus", "no_traces", "bench", "capture"),
    "Limits": ("run_limit", "time_limit", "gpu_hours"),
    "The search": (),
}


@click.command("tune", cls=CommandBehind, sections=_SECTIONS, epilog=_EXAMPLES)
@click.option(
    "--axis",
    "axes",
    multiple=True,
    metavar="NAME=V,V",
    help="Try these instead of the safe space: env.VARIABLE, backend, nccl, or {NAME} in CMD.",
)
@click.option("--set", "values", multiple=True, metavar="NAME=VALUE", help="Fill {NAME} in CMD.")
@click.option("--where", "constraints", multiple=True, metavar="EXPR", help="Only settings for which this holds.")
@click.option(
    "--candidates",
    type=click.IntRange(min=2),
    default=24,
    show_default=True,
    metavar="N",
    help="Settings to begin with; of more, single changes first.",
)
@click.option(
    "--metric",
    metavar="NAME",
    help="wall, request, step, throughput, exposed, an operation, or output:REGEX.  [default: wall]",
)
@click.option(
    "--repeats",
    type=click.IntRange(min=3),
    metavar="N",
    default=5,
    show_default=True,
    help="Runs that confirm each finalist and the baseline.",
)
@click.option("--gpus", metavar="EXPR", help="GPUs of the job, for --gpu-hours and throughput.")
@click.option("--no-traces", is_flag=True, help="Begin without the baseline's trace, which rules settings out.")
@click.option(
    "--bench",
    is_flag=True,
    help="First measure the job's collectives by themselves under each value, and run none that a replay of the trace "
    "finds slower.",
)
@click.option("--capture", default="", metavar="OPTIONS", help="For the traced runs, such as '--warmup 1 --steps 3'.")
@click.option("--timeout", "run_limit", default="", metavar="TIME", help="End a run after so long, such as 10m.")
@click.option("--time-limit", default="", metavar="TIME", help="Stop before the runs take longer together.")
@click.option("--gpu-hours", type=click.FloatRange(min=0), metavar="H", help="Stop before they cost more.")
@click.option("--seed", type=int, metavar="N", help="Of the order of runs and the choice of settings.  [default: 0]")
@click.option(
    "-o",
    "--output",
    type=DiskPath(path_type=Path),
    metavar="DIR",
    default=Path("tune"),
    show_default=True,
    help="Runs, traces, journal and report; the same command again goes on there.",
)
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
    candidates: int,
    metric: str | None,
    repeats: int,
    gpus: str | None,
    no_traces: bool,
    bench: bool,
    capture: str,
    run_limit: str,
    time_limit: str,
    gpu_hours: float | None,
    seed: int | None,
    output: Path,
    form: str,
) -> None:
    """Search NCCL's variables on the real job, and name a setting only where it is certainly better.

    What the environment has now is the baseline. Rounds keep the faster half of the settings; the last two are
    confirmed by new runs in turn with the baseline.
    """
    import os
    import shlex

    from traceana.sweep import read_plan
    from traceana.sweep.tuning import Tuning

    flags = read_plan.Flags(
        command=context.meta[COMMAND],
        axes=axes,
        values=values,
        constraints=constraints,
        gpus=gpus,
        repeats=repeats,
        metric=metric,
        run_limit=run_limit,
        time_limit=time_limit,
        gpu_hours=gpu_hours,
        traced=False if no_traces else None,
        seed=seed,
    )
    plan = read_plan.unchecked_plan_of(plan_name, flags, "tune")
    tuning = Tuning(plan, output, os.environ, candidates, shlex.split(capture), bench=bench)
    show(tuning.go(lambda text: say(text, err=True)), form, output)
