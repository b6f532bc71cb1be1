"""`traceana open`: a run in Perfetto, from a server on this machine that ends with its page."""

import getpass
import os
import shlex
import tempfile
import webbrowser
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Thread

import click
import msgspec

from traceana.commands.paths import DiskPath
from traceana.commands.progress import progress_bar
from traceana.errors import TraceanaError
from traceana.perfetto.places import Place, find
from traceana.perfetto.plan import Plan, plan
from traceana.plain import say
from traceana.trace.discover import RankFile, discover
from traceana.trace.file import NO_EVENT, TraceFile

_EXAMPLES = """
\b
Examples:
  traceana open traces/torch                          all ranks together
  traceana open traces/torch traces/pynccl            two runs side by side
  traceana open traces/torch --at 'denoise_step 3'    a span of the program
  traceana open traces/torch --at 'worst-wait all_reduce'
  traceana open traces/torch --rank 3                 one rank's whole file
  traceana open all.json.gz --offline                 without the internet
"""


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """The file to show, and where to open it."""

    file: Path
    title: str
    place: Place | None = None
    as_it_is: bool = True
    """Whether it is the user's own file, whose damage Perfetto gets too."""


@click.command(
    "open",
    epilog=_EXAMPLES,
    help="Show the runs below PATHS in Perfetto: all ranks merged, one rank, or a single file as it is.",
)
@click.argument("paths", nargs=-1, required=True, type=DiskPath(path_type=Path))
@click.option("--rank", type=click.IntRange(min=0), help="Show this rank's file as it is.")
@click.option("--at", metavar="SPAN", help="Open at a span, at worst-wait, or at 'worst-wait OPERATION'.")
@click.option("--offline", is_flag=True, help="Use the UI that the extra traceana[perfetto] brings.")
@click.option("--python", is_flag=True, help="Keep Python's frames when ranks are merged.")
@click.option("--workers", type=click.IntRange(min=0), default=0, help="Processes that work. [default: one a core]")
def command(
    paths: tuple[Path, ...], rank: int | None, at: str | None, offline: bool, python: bool, workers: int
) -> None:
    """Serve until the page is closed."""
    from traceana.perfetto.ui import bundled_ui

    ui = bundled_ui() if offline else None
    with tempfile.TemporaryDirectory(prefix="traceana-") as scratch:
        if rank is not None:
            shown = _one_rank(paths, rank, at, workers)
        elif len(paths) == 1 and paths[0].is_file():
            shown = shown_file(paths[0], at, workers)
        else:
            shown = _all_ranks(paths, Path(scratch, "ranks.json.gz"), at, python, workers)
        _serve(shown, ui)


def shown_file(path: Path, at: str | None, workers: int) -> Shown:
    """A file as it is, opened at a place in it.

    Raises TraceanaError where it is no trace, holds no whole event, or has no such place.
    """
    if not any(chunk.events for chunk in TraceFile(path).chunks()):
        raise TraceanaError(f"{path}: {NO_EVENT}")
    place = None if at is None else _in_own_file([path], path, at, workers)
    return Shown(file=path, title=path.name, place=place)


def say_damage(path: Path) -> None:
    """Read all of a file that Perfetto gets as it is, and say in one line what is damaged in it."""
    file = TraceFile(path)
    with suppress(TraceanaError):
        for _ in file.chunks():
            pass
    if words := file.damage.in_words():
        say(f"{path} is damaged, and Perfetto gets it as it is: {'; '.join(words)}", err=True)


def _one_rank(paths: Sequence[Path], rank: int, at: str | None, workers: int) -> Shown:
    file = _file_of(paths, rank)
    place = None if at is None else _in_own_file(paths, file.path, at, workers)
    return Shown(file=file.path, title=f"rank {rank}", place=place)


def _in_own_file(paths: Sequence[Path], file: Path, at: str, workers: int) -> Place:
    """The place on the clock of one of the files, as it stands there."""
    with progress_bar("reading traces") as progress:
        planned = plan(paths, python=True, workers=workers, progress=progress)
    mine = next(one for one in planned.ranks if one.path == file)
    layout, shift = mine.surveyed.layout, mine.file_shift_ns
    place = find(planned, at)
    inside = Place(start_ns=place.start_ns + shift, end_ns=place.end_ns + shift)
    return inside.within(layout.start_ns, layout.end_ns)


def _file_of(paths: Sequence[Path], rank: int) -> RankFile:
    runs = discover(paths).runs
    found = [file for run in runs for file in run.ranks if file.rank == rank]
    if len(found) == 1:
        return found[0]
    if found:
        raise TraceanaError(f"--rank {rank}: {len(found)} runs have one; name one run's folder, or the file")
    known = sorted({file.rank for run in runs for file in run.ranks})
    raise TraceanaError(f"--rank {rank}: no such rank; the ranks are {', '.join(map(str, known))}")


def _all_ranks(paths: Sequence[Path], target: Path, at: str | None, python: bool, workers: int) -> Shown:
    from traceana.perfetto.merge import write_merge

    with progress_bar("reading traces") as progress:
        planned = plan(paths, python=python, workers=workers, progress=progress)
    place = _inside(planned, find(planned, at)) if at is not None else None
    with progress_bar("writing") as progress:
        write_merge(planned, target, python=python, workers=workers, progress=progress)
    for reason in planned.left_out:
        say(f"left out: {reason}", err=True)
    return Shown(file=target, title=" and ".join(planned.runs), place=place, as_it_is=False)


def _inside(planned: Plan, place: Place) -> Place:
    end = max(rank.surveyed.layout.end_ns - rank.file_shift_ns for rank in planned.ranks)
    return place.within(0, end)


def _serve(shown: Shown, ui: Path | None) -> None:
    from traceana.perfetto.handover import launcher
    from traceana.perfetto.server import TraceServer
    from traceana.perfetto.ui import PUBLIC_UI, address
    from traceana.units import size

    # Names of files that a page asks for: those of the user's may be anything.
    name = "trace.json.gz" if shown.file.suffix == ".gz" else "trace.json"
    server = TraceServer({name: shown.file}, ui)
    server.page = launcher(
        ui=address("ui/" if ui else PUBLIC_UI, shown.place),
        trace=name,
        title=shown.title,
        description=size(shown.file.stat().st_size),
        offline=ui is not None,
    )
    with server, suppress(KeyboardInterrupt):
        _announce(server.url, port_forward(server.port, os.environ))
        if shown.as_it_is:
            # A large file takes seconds to read, and the page need not wait for it.
            Thread(target=say_damage, args=(shown.file,), daemon=True).start()
        server.serve_forever(poll_interval=0.2)


def _announce(url: str, forward: str | None) -> None:
    click.echo(url)
    if forward:
        say(f"on your own machine run `{forward}`, then open the address above there", err=True)
    else:
        webbrowser.open(url)
    click.echo("closing the page or Ctrl-C ends this", err=True)


def port_forward(port: int, environment: Mapping[str, str]) -> str | None:
    """The command that brings `port` of this machine to the one that ssh came from, or None without ssh.

    SSH_CONNECTION holds the client's address and port and the server's (ssh(1)).
    """
    connection = environment.get("SSH_CONNECTION", "").split()
    if len(connection) != 4:
        return None
    _, _, host, ssh_port = connection
    other_port = [] if ssh_port == "22" else ["-p", ssh_port]
    return shlex.join(["ssh", "-N", "-L", f"{port}:127.0.0.1:{port}", *other_port, f"{getpass.getuser()}@{host}"])
