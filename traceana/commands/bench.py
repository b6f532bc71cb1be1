"""`traceana bench`: collectives by operation, size and backend."""

from pathlib import Path

import click
from click.core import ParameterSource

from traceana.bench.plan import Message, Plan, parse_size, sizes
from traceana.commands.paths import DiskPath
from traceana.errors import TraceanaError
from traceana.needs import need
from traceana.plain import say_json
from traceana.report.bench import DTYPES, SIZED_OPERATIONS

_EXAMPLES = """
\b
Examples:
  traceana bench --ranks 2
  traceana bench --ranks 2 --op all_reduce,all_to_all -b 1M -e 256M
  traceana bench --ranks 4 --model wan-1.3b --resolution 832x480 --frames 81
  torchrun --nproc-per-node 8 -m traceana bench --under-compute
  traceana bench --ranks 2 -o bench.json --emit dispatch=dispatch.json
"""
_SWEPT = "all_reduce,all_gather,reduce_scatter,broadcast,reduce,all_to_all,send_recv"


@click.command(
    "bench",
    epilog=_EXAMPLES,
    help="Time collectives on this machine: every backend on the same messages, results checked, in random turns.",
)
@click.option(
    "--ranks",
    type=click.IntRange(min=2),
    default=2,
    show_default=True,
    help="Ranks to start here; torchrun's and srun's count instead.",
)
@click.option("--op", "ops", default=_SWEPT, show_default=True, help=f"Any of {', '.join(SIZED_OPERATIONS)}.")
@click.option("-b", "first", default="1K", show_default=True, help="Smallest message.")
@click.option("-e", "last", default="256M", show_default=True, help="Largest message.")
@click.option("-f", "factor", type=click.IntRange(min=2), default=4, show_default=True, help="Step between sizes.")
@click.option("--backend", "backends", default=None, help="Backends, with commas. [default: all that are installed]")
@click.option("--dtype", type=click.Choice([*DTYPES]), default=None, help="[default: bfloat16, on CPU float32]")
@click.option(
    "--graphs",
    type=click.Choice(["off", "on", "both"]),
    default="both",
    show_default=True,
    help="Calls in a CUDA graph: off, on (alone), or both.",
)
@click.option("--in-place", is_flag=True, help="Use one buffer for source and target where a backend can.")
@click.option(
    "--imbalance",
    type=click.FloatRange(min=1),
    default=2.0,
    show_default=True,
    help="Of all_to_allv: what rank 0 receives over the mean.",
)
@click.option("--iterations", type=click.IntRange(min=3), default=50, show_default=True, help="Calls in a block.")
@click.option("--blocks", type=click.IntRange(min=3), default=7, show_default=True, help="Blocks of each variant.")
@click.option("--under-compute", is_flag=True, help="Also while a matrix product runs on another stream.")
@click.option("--warm-cache", is_flag=True, help="Use the same buffers for each call.")
@click.option(
    "--model", default=None, help="Measure a model's messages: wan-1.3b, wan-14b, hunyuan, flux or qwen-image."
)
@click.option("--resolution", default="832x480", show_default=True, help="With --model.")
@click.option("--frames", type=click.IntRange(min=1), default=81, show_default=True, help="With --model.")
@click.option(
    "--peak",
    "peak_gbps",
    type=click.FloatRange(min=0, min_open=True),
    help="GB/s of a rank's link in one direction. [default: NVLink's or PCIe's by NVML]",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the order of turns.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option(
    "-o",
    "--output",
    type=DiskPath(dir_okay=False, path_type=Path),
    help="Also write the JSON here, and beside it a page of it.",
)
@click.option(
    "--emit",
    metavar="KIND=FILE",
    multiple=True,
    help="Write what follows: tuner (for NCCL_TUNER_CONFIG_FILE), dispatch (JSON by size), shell; may be repeated.",
)
def command(
    ranks: int,
    ops: str,
    first: str,
    last: str,
    factor: int,
    backends: str | None,
    dtype: str | None,
    graphs: str,
    in_place: bool,
    imbalance: float,
    iterations: int,
    blocks: int,
    under_compute: bool,
    warm_cache: bool,
    model: str | None,
    resolution: str,
    frames: int,
    peak_gbps: float | None,
    seed: int,
    form: str,
    output: Path | None,
    emit: tuple[str, ...],
) -> None:
    """Measure and print."""
    need("torch", "bench")
    import msgspec
    import torch

    from traceana.bench.backends import chosen
    from traceana.bench.emit import parse_emit, write
    from traceana.bench.launch import join, run, started_as_rank, world_size
    from traceana.bench.models import described, messages
    from traceana.render.bench_page import write_page
    from traceana.render.text.bench import bench_tables
    from traceana.render.text.tables import show
    from traceana.saved.bench import write_bench

    _refuse_unused(model)
    if output and output.suffix == ".html":
        raise TraceanaError(f"-o {output}: name the JSON, for example bench.json; the page is written beside it")
    used = chosen(backends)
    emitted = [parse_emit(text, used) for text in emit]
    for path in (*([output] if output else []), *(path for _, path in emitted)):
        if not path.parent.is_dir():
            raise TraceanaError(f"{path}: there is no folder {path.parent}; make it, or name another file")
    elements = dtype or ("bfloat16" if torch.cuda.is_available() else "float32")
    world = world_size(ranks)
    plan = Plan(
        messages=messages(model, resolution, frames, world, elements) if model else _swept(ops, first, last, factor),
        backends=used,
        dtype=elements,
        graphs={"off": (False,), "on": (True,), "both": (False, True)}[graphs],
        in_place=in_place,
        iterations=iterations,
        blocks=blocks,
        imbalance=imbalance,
        under_compute=under_compute,
        warm_cache=warm_cache,
        seed=seed,
        peak_gbps=peak_gbps,
        shape=described(model, resolution, frames, world) if model else None,
    )
    report = join(plan) if started_as_rank() else run(plan, ranks)
    if report is None:
        return
    # What took minutes is shown before a file can turn out not to be writable.
    if form == "json":
        say_json(msgspec.json.encode(report))
    else:
        show(bench_tables(report))
    if output:
        write_bench(report, output)
        write_page(report, output.with_suffix(".html"))
    for kind, path in emitted:
        write(report, kind, path)


def _refuse_unused(model: str | None) -> None:
    """Raises TraceanaError for an option on the command line that the kind of messages makes void."""
    context = click.get_current_context()
    void = ("resolution", "frames") if model is None else ("ops", "first", "last", "factor")
    for option in context.command.params:
        given = context.get_parameter_source(option.name or "") is ParameterSource.COMMANDLINE
        if option.name in void and given:
            why = "it gives the shape of a --model" if model is None else f"--model {model} gives the messages itself"
            raise TraceanaError(f"{option.opts[0]}: {why}; leave one of them out")


def _swept(ops: str, first: str, last: str, factor: int) -> tuple[Message, ...]:
    unknown = [op for op in ops.split(",") if op not in SIZED_OPERATIONS]
    if unknown:
        raise TraceanaError(
            f"--op {unknown[0]}: measure any of {', '.join(SIZED_OPERATIONS)}; all_to_all_4d with --model"
        )
    found = sizes(parse_size(first), parse_size(last), factor)
    return tuple(Message(op=op, message_bytes=size) for op in ops.split(",") for size in found)
