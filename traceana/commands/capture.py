"""`traceana capture -- CMD …`: one trace per rank and run.json, whatever way the run ends."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import click
from traceana_capture.launcher import repeats
from traceana_capture.launcher.job import job_of
from traceana_capture.launcher.nccl_settings import PRESETS, preset_lines, settings_of
from traceana_capture.launcher.options import BACKENDS, Options, every_s, function_name, pairings, rank_list
from traceana_capture.launcher.run_folder import run_name

from traceana.commands.labels import Label
from traceana.commands.next_step import say_next
from traceana.commands.paths import DiskPath
from traceana.commands.sections import SectionedCommand

_EXAMPLES = """
\b
Examples:
  traceana capture -- python generate.py
  traceana capture --warmup 1 --steps 3 -- sglang generate --num-gpus 2 ...
  traceana capture --backend torch --versus pynccl --repeat 3 -- sglang ...
  traceana capture --nccl-preset ll -- torchrun --nproc-per-node 2 train.py
  traceana capture --steps 5 --step-on train.loop:step -- bash run.sh
  traceana capture --every 10m --keep 6 -- sglang serve --model-path M ...
"""


def _list_presets(context: click.Context, _option: click.Parameter, asked: bool) -> None:
    if asked:
        click.echo("\n".join(preset_lines()))
        context.exit()


_SECTIONS = {
    "When to record": (
        "delay",
        "duration",
        "warmup",
        "steps",
        "step_on",
        "start_on",
        "max_collectives",
        "max_memory",
        "every",
        "keep",
    ),
    "What to record": ("ranks", "shapes", "stacks", "memory", "all_threads"),
    "What carries the collectives": ("backend", "paired", "nccl", "presets", "list_presets"),
    "Runs": (),
}


@click.command("capture", cls=SectionedCommand, sections=_SECTIONS, epilog=_EXAMPLES)
@click.option(
    "--delay", type=click.FloatRange(min=0), metavar="S", default=0.0, help="Wait so many seconds after that moment."
)
@click.option(
    "--duration",
    type=click.FloatRange(min=0.01),
    metavar="S",
    default=10.0,
    show_default=True,
    help="Close after so many seconds at most.",
)
@click.option("--warmup", type=click.IntRange(min=0), metavar="N", default=0, help="Open after so many steps.")
@click.option("--steps", type=click.IntRange(min=0), metavar="N", default=0, help="Close after so many recorded steps.")
@click.option("--step-on", default="", metavar="MODULE:FUNCTION", help="A step is a call of this.")
@click.option(
    "--start-on", default="", metavar="MODULE:FUNCTION", help="Wait for a call of this, and count steps from there."
)
@click.option(
    "--max-collectives",
    type=click.IntRange(min=1),
    metavar="N",
    default=20_000,
    show_default=True,
    help="Close after so many.",
)
@click.option(
    "--max-memory",
    type=click.IntRange(min=1),
    metavar="MIB",
    default=1024,
    show_default=True,
    help="Close when a rank has grown by this.",
)
@click.option("--every", default="", metavar="TIME", help="Open a window every 90s, 10m or 1h while CMD runs.")
@click.option(
    "--keep",
    type=click.IntRange(min=1),
    metavar="N",
    default=6,
    show_default=True,
    help="With --every: keep so many closed windows.",
)
@click.option("--ranks", default="", metavar="0,3", help="Only these ranks.")
@click.option("--shapes", is_flag=True, help="Also the shapes of operators' inputs (slower, larger).")
@click.option("--stacks", is_flag=True, help="Also Python's stacks (much larger).")
@click.option("--memory", is_flag=True, help="Also allocations.")
@click.option("--all-threads", is_flag=True, help="Operators of all threads, and ranks that hang in a call.")
@click.option(
    "--backend",
    type=click.Choice(BACKENDS),
    metavar="NAME",
    default="asis",
    show_default=True,
    help="torch, pynccl, custom, ipc or symm_mem (sglang, vLLM).",
)
@click.option(
    "--paired",
    multiple=True,
    metavar="OPERATION",
    help="Run these on two backends too: all_to_all, or all_reduce:torch,custom.",
)
@click.option("--nccl", multiple=True, metavar="KEY=VALUE", help="Set a variable of NCCL; may be repeated.")
@click.option(
    "--nccl-preset",
    "presets",
    multiple=True,
    type=click.Choice(list(PRESETS)),
    metavar="NAME",
    help="Set several at once; may be repeated.",
)
@click.option(
    "--list-presets",
    is_flag=True,
    is_eager=True,
    callback=_list_presets,
    expose_value=False,
    help="Say what each preset does and leave.",
)
@click.option(
    "-o",
    "--output",
    type=DiskPath(path_type=Path),
    metavar="DIR",
    default=Path("traces"),
    show_default=True,
    help="The folder of the runs.",
)
@click.option(
    "--label", type=Label("output"), metavar="NAME", help="Name of the run and of its folder.  [default: run]"
)
@click.option("--force", is_flag=True, help="Replace an earlier run of the same label.")
@click.option("--shared", is_flag=True, help="Let others read the run, as your umask says; else you alone can.")
@click.option(
    "--repeat", type=click.IntRange(min=1), metavar="N", default=1, help="Run CMD so often: folders NAME.1, NAME.2, …"
)
@click.option(
    "--versus",
    type=click.Choice([*BACKENDS, *PRESETS]),
    metavar="NAME",
    help="Run CMD with this backend or preset too, in turn with the first.",
)
@click.option(
    "--nodes",
    type=click.IntRange(min=2),
    metavar="N",
    help="Nodes that share the run; Slurm's are known, and --nnodes.",
)
@click.option(
    "--timeout", type=click.FloatRange(min=0.01), metavar="S", help="End the whole run after so many seconds."
)
@click.option("--open", "open_traces", is_flag=True, help="Show the traces in Perfetto afterwards.")
@click.argument("argv", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- CMD …")
def command(
    output: Path,
    label: str | None,
    repeat: int,
    versus: str | None,
    nodes: int | None,
    duration: float,
    timeout: float | None,
    delay: float,
    ranks: str,
    stacks: bool,
    memory: bool,
    all_threads: bool,
    max_collectives: int,
    max_memory: int,
    every: str,
    keep: int,
    shapes: bool,
    nccl: tuple[str, ...],
    presets: tuple[str, ...],
    backend: str,
    paired: tuple[str, ...],
    warmup: int,
    steps: int,
    start_on: str,
    step_on: str,
    open_traces: bool,
    force: bool,
    shared: bool,
    argv: tuple[str, ...],
) -> None:
    """Run CMD unchanged and leave one trace per rank and run.json in DIR/NAME.

    Recording begins at the first request (sglang, vLLM), a pipeline's first call (diffusers), or the first collective.
    A step is a denoising step (sglang, diffusers), an optimizer's step, or a call of --step-on.
    """
    options = Options(
        argv=argv,
        duration_s=duration,
        delay_s=delay,
        ranks=rank_list(ranks),
        shapes=shapes,
        stacks=stacks,
        memory=memory,
        all_threads=all_threads,
        max_collectives=max_collectives,
        max_memory_mib=max_memory,
        backend=backend,
        paired=pairings(paired),
        start_on=function_name("--start-on", start_on),
        step_on=function_name("--step-on", step_on),
        warmup=warmup,
        steps=steps,
        nccl=settings_of(presets, nccl),
        presets=presets,
        timeout_s=timeout,
        every_s=every_s(every, paired),
        keep=keep,
        shared=shared,
    )
    chosen = repeats.sides(options, label, versus, nccl)
    job = job_of(argv, os.environ, nodes)
    code = repeats.capture(chosen, output, repeat, force=force, job=job)
    folders = [output / run_name(side.label, 1 if repeat > 1 else None) for side in chosen]
    # Of launchers that may write to one terminal one is enough.
    if job is None or job.seat in ("", "0"):
        _say_next(folders, output, repeat)
    if open_traces and any(path for folder in folders for path in folder.glob("rank*.json.gz")):
        subprocess.call([sys.executable, "-m", "traceana", "open", *map(str, folders)])
    sys.exit(code)


def _say_next(folders: Sequence[Path], output: Path, repeat: int) -> None:
    """The command that reads what was captured; a series is read as a whole."""
    if any(path for folder in folders for path in folder.rglob("rank*.json.gz")):
        command = "compare" if len(folders) > 1 else "analyze"
        say_next(folders[0] if len(folders) == repeat == 1 else output, command)
