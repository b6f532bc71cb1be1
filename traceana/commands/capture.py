"""`traceana capture -- CMD …`: one trace per rank and run.json, whatever way the run ends."""

import contextlib
import datetime
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec

from traceana import __version__
from traceana.capture.control import Ranks, Worker
from traceana.capture.launch import Launch, Options, inject
from traceana.capture.nccl import PRESETS, log_file, preset_lines, settings_of
from traceana.capture.nccl_log import read_log
from traceana.capture.publish import publish
from traceana.capture.scratch import claimed
from traceana.errors import TraceanaError

RUN_FILE = re.compile(r"run\.json|rank\d+\.json\.gz|nccl\.rank\d+\.log")


@contextlib.contextmanager
def run_folder(output: Path, label: str, force: bool) -> Iterator[tuple[Path, Path]]:
    """Hold `output/label` and the scratch folder beside it; raises TraceanaError where they cannot be had."""
    if not re.fullmatch(r"[A-Za-z0-9][\w.+-]*", label):
        raise TraceanaError(f"--label {label!r} must be a plain name of letters, digits, '.', '_', '+' or '-'")
    folder = output / label
    with contextlib.ExitStack() as stack:
        try:
            scratch = stack.enter_context(claimed(output / f".{label}.scratch"))
            folder.mkdir(exist_ok=True)
            _remove_earlier(folder, force)
        except OSError as error:
            raise TraceanaError(f"cannot write {folder}: {error.strerror}; choose another folder with -o") from error
        yield folder, scratch


def _remove_earlier(folder: Path, force: bool) -> None:
    """An earlier run there is replaced only with force, and nothing but its own files."""
    old = [p for p in folder.iterdir() if RUN_FILE.fullmatch(p.name)]
    if old and not force:
        raise TraceanaError(f"{folder} holds a run already; give another --label, or --force to replace it")
    for path in old:
        path.unlink()


def rank_list(text: str) -> tuple[int, ...]:
    """Ranks of a list such as "0,3"; raises TraceanaError for anything else."""
    if not re.fullmatch(r"(\d+(,\d+)*)?", text):
        raise TraceanaError(f"--ranks {text!r} must be numbers with commas between them, such as 0,3")
    return tuple(int(rank) for rank in text.split(",") if rank)


def collect(worker: Worker, folder: Path, scratch: Path) -> dict[str, Any]:
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
        size = publish(source, target)
    except (OSError, msgspec.DecodeError) as error:
        return entry | {"reason": f"the trace could not be published: {error}"}
    return entry | {"outcome": "complete", "reason": worker.reason, "file": target.name, "bytes": size}


def missing(world_size: int, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Entries for ranks of the process group that never said hello."""
    seen = {entry["rank"] for entry in entries}
    blank = {"pid": None, "host": None, "outcome": "missing", "file": None, "bytes": 0, "nccl": None}
    return [{"rank": rank, **blank, "reason": "never appeared"} for rank in range(world_size) if rank not in seen]


def keep_log(worker: Worker, folder: Path, scratch: Path) -> dict[str, Any] | None:
    """Move the rank's NCCL log, where there is one, into the run and return what it says."""
    source, target = log_file(scratch, worker.pid), folder / f"nccl.rank{worker.rank}.log"
    try:
        with source.open(errors="replace") as lines:
            facts = read_log(lines)
        source.replace(target)
    except OSError:
        return None
    return {"file": target.name, **facts}


def list_presets(context: click.Context, _option: click.Parameter, asked: bool) -> None:
    """Print the presets of NCCL's variables and leave."""
    if asked:
        click.echo("\n".join(preset_lines()))
        context.exit()


@click.command
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("traces"), show_default=True)
@click.option("--label", default="run", show_default=True, help="Name of the run and of its folder.")
@click.option("--duration", type=click.FloatRange(min=0.01), default=10.0, show_default=True, help="Window, seconds.")
@click.option("--timeout", type=click.FloatRange(min=0.01), help="End the whole run after so many seconds.")
@click.option("--delay", type=click.FloatRange(min=0), default=0.0, help="Seconds to let pass before the window.")
@click.option("--ranks", default="", metavar="0,3", help="Record only these ranks.")
@click.option("--stacks", is_flag=True, help="Record Python stacks (much larger).")
@click.option("--memory", is_flag=True, help="Record allocations.")
@click.option("--nccl", multiple=True, metavar="KEY=VALUE", help="Set a variable of NCCL; may be repeated.")
@click.option("--nccl-preset", "presets", multiple=True, type=click.Choice(list(PRESETS)), help="Set several at once.")
@click.option(
    "--list-presets",
    is_flag=True,
    is_eager=True,
    callback=list_presets,
    expose_value=False,
    help="Say what each preset does and leave.",
)
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
    nccl: tuple[str, ...],
    presets: tuple[str, ...],
    shapes: bool,
    force: bool,
    argv: tuple[str, ...],
) -> None:
    """Run CMD unchanged and leave one trace per rank in OUTPUT/LABEL.

    The window opens at the first collective (under sglang: the first request) and lasts --duration seconds at most.
    run.json keys: schema_version, label, argv, started, ended, exit_code, world_size, backend {seen}, versions,
    nccl {set}, gpus {rank: name}, window {delay_s, duration_s}, ranks [{rank, pid, host, outcome, reason, file,
    bytes, nccl}]; bytes are of the published file; a rank's nccl is what NCCL's log says: {file, version,
    transports {kind: channels}, channels {kind: number}, nvls, choices, variables}.
    """
    options = Options(
        argv=argv,
        duration_s=duration,
        delay_s=delay,
        ranks=rank_list(ranks),
        shapes=shapes,
        stacks=stacks,
        memory=memory,
        nccl=settings_of(presets, nccl),
        timeout_s=timeout,
    )
    started = datetime.datetime.now(datetime.timezone.utc)
    with run_folder(output, label, force) as (folder, scratch):
        listener = Ranks(scratch / "control")
        code = Launch(options, listener, inject(scratch, options)).run()
        workers = sorted(listener.workers.values(), key=lambda worker: worker.rank)
        listener.close()
        entries = [collect(w, folder, scratch) | {"nccl": keep_log(w, folder, scratch)} for w in workers]
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
        "backend": {"seen": sorted({worker.backend for worker in workers})},
        "versions": {"traceana": __version__, **(workers[0].versions if workers else {})},
        "nccl": {"set": options.nccl},
        "gpus": {str(worker.rank): worker.gpu for worker in workers},
        "window": {"delay_s": delay, "duration_s": duration},
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
