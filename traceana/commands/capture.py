"""`traceana capture -- CMD …`: one trace per rank and run.json, whatever way the run ends."""

import subprocess
import sys
from pathlib import Path

import click

from traceana.capture import repeats
from traceana.capture.folder import run_name
from traceana.capture.nccl import PRESETS, preset_lines, settings_of
from traceana.capture.options import BACKENDS, PAIRED, Options, function_name, rank_list

_EXAMPLES = """
\b
Examples:
  traceana capture -- python generate.py
  traceana capture --label torch --backend torch -- sglang generate --model-path M --prompt P --num-gpus 2 ...
  traceana capture --backend torch --versus pynccl --repeat 3 -- sglang generate ...
  traceana capture --label ll --nccl-preset ll -- torchrun --nproc-per-node 2 train.py
  traceana capture --warmup 3 --steps 5 --step-on train.loop:step -- bash run.sh
"""


def _list_presets(context: click.Context, _option: click.Parameter, asked: bool) -> None:
    if asked:
        click.echo("\n".join(preset_lines()))
        context.exit()


@click.command("capture", epilog=_EXAMPLES)
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("traces"), show_default=True)
@click.option("--label", help="Name of the run and of its folder.  [default: run]")
@click.option("--repeat", type=click.IntRange(min=1), default=1, help="Run CMD so often: folders LABEL.1, LABEL.2, …")
@click.option(
    "--versus",
    type=click.Choice([*BACKENDS[1:], *PRESETS]),
    help="Run CMD with this backend or preset too, in turn with the first: folders named after each.",
)
@click.option("--duration", type=click.FloatRange(min=0.01), default=10.0, show_default=True, help="Window, seconds.")
@click.option("--timeout", type=click.FloatRange(min=0.01), help="End the whole run after so many seconds.")
@click.option("--delay", type=click.FloatRange(min=0), default=0.0, help="Seconds to let pass before the window.")
@click.option("--ranks", default="", metavar="0,3", help="Record only these ranks.")
@click.option("--stacks", is_flag=True, help="Record Python stacks (much larger).")
@click.option("--memory", is_flag=True, help="Record allocations.")
@click.option("--all-threads", is_flag=True, help="Record operators of all threads, not of the main thread only.")
@click.option(
    "--max-collectives",
    type=click.IntRange(min=1),
    default=20_000,
    show_default=True,
    help="End the window after these.",
)
@click.option(
    "--max-memory",
    type=click.IntRange(min=1),
    default=1024,
    show_default=True,
    metavar="MIB",
    help="End the window when a rank's process has grown by this; its trace is about twice as large.",
)
@click.option("--shapes", is_flag=True, help="Record operators' input shapes (slower, larger).")
@click.option("--nccl", multiple=True, metavar="KEY=VALUE", help="Set a variable of NCCL; may be repeated.")
@click.option("--nccl-preset", "presets", multiple=True, type=click.Choice(list(PRESETS)), help="Set several at once.")
@click.option(
    "--list-presets",
    is_flag=True,
    is_eager=True,
    callback=_list_presets,
    expose_value=False,
    help="Say what each preset does and leave.",
)
@click.option(
    "--backend",
    type=click.Choice(BACKENDS),
    default="asis",
    show_default=True,
    help="What carries the collectives of sglang and vLLM.",
)
@click.option(
    "--paired",
    multiple=True,
    type=click.Choice(PAIRED),
    help="Also run each such call on both backends, back to back, on copies of its tensors (sglang); may be repeated.",
)
@click.option("--warmup", type=click.IntRange(min=0), default=0, help="Steps to let pass before the window.")
@click.option("--steps", type=click.IntRange(min=0), default=0, help="End the window after so many steps.")
@click.option("--start-on", default="", metavar="MODULE:FUNCTION", help="Open the window when this is called.")
@click.option("--step-on", default="", metavar="MODULE:FUNCTION", help="A step is a call of this.")
@click.option("--open", "open_traces", is_flag=True, help="Show the traces in Perfetto afterwards.")
@click.option("--force", is_flag=True, help="Replace an earlier run of the same label.")
@click.argument("argv", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- CMD …")
def command(
    output: Path,
    label: str | None,
    repeat: int,
    versus: str | None,
    duration: float,
    timeout: float | None,
    delay: float,
    ranks: str,
    stacks: bool,
    memory: bool,
    all_threads: bool,
    max_collectives: int,
    max_memory: int,
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
    argv: tuple[str, ...],
) -> None:
    """Run CMD unchanged and leave one trace per rank and run.json in OUTPUT/LABEL.

    The window opens at the first collective (under sglang: the first request) and lasts --duration seconds at most.
    With --warmup or --steps it opens at a step: a denoising step under sglang, elsewhere a call of --step-on.
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
        paired=paired,
        start_on=function_name("--start-on", start_on),
        step_on=function_name("--step-on", step_on),
        warmup=warmup,
        steps=steps,
        nccl=settings_of(presets, nccl),
        presets=presets,
        timeout_s=timeout,
    )
    chosen = repeats.sides(options, label, versus, nccl)
    code = repeats.capture(chosen, output, repeat, force=force)
    folders = [output / run_name(side.label, 1 if repeat > 1 else None) for side in chosen]
    if open_traces and any(path for folder in folders for path in folder.glob("rank*.json.gz")):
        subprocess.call([sys.executable, "-m", "traceana", "open", *map(str, folders)])
    sys.exit(code)
