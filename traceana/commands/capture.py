"""`traceana capture -- CMD …`: one trace per rank and run.json, whatever way the run ends."""

import datetime
import json
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import click
import msgspec

from traceana import __version__
from traceana.capture.backends import check_machine, mismatch
from traceana.capture.control import Ranks, Worker
from traceana.capture.launch import Launch, Options, inject
from traceana.capture.nccl import parse
from traceana.capture.publish import Published, publish
from traceana.errors import TraceanaError


def run_folder(output: Path, label: str, force: bool) -> Path:
    """Create `output/label`; an earlier run there is replaced only with force, and nothing but its own files."""
    if not re.fullmatch(r"[A-Za-z0-9][\w.+-]*", label):
        raise TraceanaError(f"--label {label!r} must be a plain name of letters, digits, '.', '_', '+' or '-'")
    folder = output / label
    try:
        folder.mkdir(parents=True, exist_ok=True)
        old = [p for p in folder.iterdir() if p.name == "run.json" or re.fullmatch(r"rank\d+\.json\.gz", p.name)]
        if old and not force:
            raise TraceanaError(f"{folder} holds a run already; give another --label, or --force to replace it")
        for path in old:
            path.unlink()
    except OSError as error:
        raise TraceanaError(f"cannot write {folder}: {error.strerror}; choose another folder with -o") from error
    return folder


def rank_list(text: str) -> tuple[int, ...]:
    """Ranks of a list such as "0,3"; raises TraceanaError for anything else."""
    if not re.fullmatch(r"(\d+(,\d+)*)?", text):
        raise TraceanaError(f"--ranks {text!r} must be numbers with commas between them, such as 0,3")
    return tuple(int(rank) for rank in text.split(",") if rank)


def function_name(option: str, text: str) -> str:
    """The text if it is empty or MODULE:FUNCTION; raises TraceanaError for anything else."""
    if text and not re.fullmatch(r"(?!__main__:)\w+(\.\w+)*:\w+(\.\w+)*", text):
        raise TraceanaError(f"{option} {text!r} must be MODULE:FUNCTION of an imported module, such as train.loop:step")
    return text


def collect(worker: Worker, folder: Path, scratch: Path, published: list[Published]) -> dict[str, Any]:
    """Publish one rank's trace and return its entry in run.json; what is missing has its reason there."""
    entry = {
        "rank": worker.rank,
        "pid": worker.pid,
        "host": worker.host,
        "outcome": "missing",
        "file": None,
        "bytes": 0,
    }
    if worker.trace is None:
        return entry | {"reason": worker.reason or f"the process ended while {worker.state}, before its export"}
    source, target = scratch / f"{worker.pid}.json", folder / f"rank{worker.rank}.json.gz"
    try:
        trace = publish(source, target)
    except (OSError, msgspec.DecodeError) as error:
        return entry | {"reason": f"the trace could not be published: {error}"}
    published.append(trace)
    return entry | {"outcome": "complete", "reason": worker.reason, "file": target.name, "bytes": trace.size}


def backend_entry(asked: str, published: list[Published]) -> dict[str, Any]:
    """What was asked for, what adapters did and what the traces show; a mismatch also goes to stderr."""
    adapters = sorted({adapter for trace in published for adapter in trace.adapters})
    found = {backend for trace in published for backend in trace.backends}
    error = mismatch(asked, adapters, found) if published else None
    if error is not None:
        click.echo(f"traceana: error: {error}", err=True)
    return {"asked": asked, "adapter": ", ".join(adapters) or None, "seen": sorted(found), "mismatch": error}


def missing(world_size: int, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Entries for ranks of the process group that never said hello."""
    seen = {entry["rank"] for entry in entries}
    blank = {"pid": None, "host": None, "outcome": "missing", "file": None, "bytes": 0}
    return [{"rank": rank, **blank, "reason": "never appeared"} for rank in range(world_size) if rank not in seen]


@click.command
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("traces"), show_default=True)
@click.option("--label", default="run", show_default=True, help="Name of the run and of its folder.")
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
@click.option("--nccl", multiple=True, metavar="KEY=VALUE", help="Set a variable of NCCL; may be repeated.")
@click.option(
    "--backend",
    type=click.Choice(["asis", "torch", "pynccl"]),
    default="asis",
    show_default=True,
    help="What carries the collectives of sglang's diffusion runtime.",
)
@click.option("--warmup", type=click.IntRange(min=0), default=0, help="Steps to let pass before the window.")
@click.option("--steps", type=click.IntRange(min=0), default=0, help="End the window after so many steps.")
@click.option("--start-on", default="", metavar="MODULE:FUNCTION", help="Open the window when this is called.")
@click.option("--step-on", default="", metavar="MODULE:FUNCTION", help="A step is a call of this.")
@click.option("--shapes", is_flag=True, help="Record operators' input shapes (slower, larger).")
@click.option("--force", is_flag=True, help="Replace an earlier run of the same label.")
@click.argument("argv", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- CMD …")
def command(
    output: Path,
    label: str,
    duration: float,
    timeout: float | None,
    delay: float,
    ranks: str,
    stacks: bool,
    memory: bool,
    all_threads: bool,
    max_collectives: int,
    max_memory: int,
    nccl: tuple[str, ...],
    backend: str,
    warmup: int,
    steps: int,
    start_on: str,
    step_on: str,
    shapes: bool,
    force: bool,
    argv: tuple[str, ...],
) -> None:
    """Run CMD unchanged and leave one trace per rank in OUTPUT/LABEL.

    The window opens at the first collective (under sglang: the first request) and lasts --duration seconds at most.
    With --warmup or --steps it opens at a step: a denoising step under sglang, elsewhere a call of --step-on.
    run.json keys: schema_version, label, argv, started, ended, exit_code, world_size, versions, nccl {set},
    backend {asked, adapter, seen, mismatch}, window {delay_s, duration_s, warmup, steps, start_on, step_on},
    ranks [{rank, pid, host, outcome, reason, file, bytes}]; bytes are of the published file.
    """
    check_machine(backend)
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
        start_on=function_name("--start-on", start_on),
        step_on=function_name("--step-on", step_on),
        warmup=warmup,
        steps=steps,
        nccl=parse(nccl),
        timeout_s=timeout,
    )
    folder = run_folder(output, label, force)
    started = datetime.datetime.now(datetime.timezone.utc)
    scratch = Path(tempfile.mkdtemp(prefix="traceana-"))
    try:
        listener = Ranks(scratch / "control")
        code = Launch(options, listener, inject(scratch, options)).run()
        workers = sorted(listener.workers.values(), key=lambda worker: worker.rank)
        listener.close()
        published: list[Published] = []
        entries = [collect(worker, folder, scratch, published) for worker in workers]
    finally:
        shutil.rmtree(scratch)
    world_size = max((worker.world_size for worker in workers), default=0)
    entries += missing(world_size, entries)
    manifest = {
        "schema_version": 1,
        "label": label,
        "argv": list(argv),
        "started": started.isoformat(),
        "ended": datetime.datetime.now(datetime.timezone.utc).isoformat(),
        "exit_code": code,
        "world_size": world_size,
        "backend": backend_entry(backend, published),
        "versions": {"traceana": __version__, **(workers[0].versions if workers else {})},
        "nccl": {"set": options.nccl},
        "window": {
            "delay_s": delay,
            "duration_s": duration,
            "warmup": warmup,
            "steps": steps,
            "start_on": start_on or None,
            "step_on": step_on or None,
        },
        "ranks": entries,
    }
    try:
        (folder / "run.json").write_text(json.dumps(manifest, indent=1) + "\n")
    except OSError as error:
        click.echo(f"traceana: cannot write {folder / 'run.json'}: {error.strerror}", err=True)
    if not entries:
        click.echo("traceana: no rank appeared: the command never set up torch.distributed", err=True)
    for entry in entries:
        if entry["outcome"] != "complete":
            click.echo(f"traceana: no trace of rank {entry['rank']}: {entry['reason']}", err=True)
    sys.exit(code)
