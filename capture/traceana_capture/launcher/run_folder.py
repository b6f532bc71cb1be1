"""The folder of a run: claimed for one run, or one launcher's part in it, and freed of what was there before."""

import contextlib
import dataclasses
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from traceana.errors import TraceanaError
from traceana_capture import leftover, runfile
from traceana_capture.launcher.job import Job
from traceana_capture.launcher.others import left_by_others, refuse_strangers, scratch_name, write_launch
from traceana_capture.launcher.scratch import empty, forget, remove, removed_unless, take

RUN_FILE = re.compile(r"run(?:\.[\w.-]+)?\.json|rank\d+\.json\.gz|nccl\.rank\d+\.log|paired\.rank\d+\.jsonl")
MEASURED = ".traceana"
# In the folder of a window that is ordered, until its first trace is there.
ORDERED = ".ordered"
WINDOW = re.compile(r"window[1-9]\d*")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A run's folder and scratch folder, both absolute; `lock` is the descriptor that holds them.

    Launchers of one `job` share the folder, and each has a scratch folder of its own. Where it `keeps_failed`, an
    export stays that could not be published.
    """

    folder: Path
    scratch: Path
    lock: int
    shared: bool = False
    job: Job | None = None
    keeps_failed: bool = False

    def of_window(self, number: int) -> "Claim":
        """The claim of this window, whose folder is there then; the first has the run's own. Raises OSError."""
        if number == 1:
            return self
        folder = self.folder / window_name(number)
        make_folder(folder, self.shared)
        return dataclasses.replace(self, folder=folder)

    def take_order(self) -> bool:
        """Whether nobody else, on any host, ordered the window of this folder before. Raises OSError."""
        try:
            os.close(os.open(self.folder / ORDERED, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            return False
        return True

    def end_order(self) -> None:
        """All launchers know of the window, or none is to."""
        with contextlib.suppress(OSError):
            (self.folder / ORDERED).unlink(missing_ok=True)

    def close_to_others(self) -> None:
        """Leave the run's files to their owner alone, unless they are shared: they may hold what a prompt said."""
        for path in files_of_run(self.folder) if not self.shared else ():
            with contextlib.suppress(OSError):
                if not path.is_symlink():
                    path.chmod(0o600)


def window_name(number: int) -> str:
    """The name of a later window's folder, in the run's."""
    return f"window{number}"


def run_name(label: str, repeat: int | None) -> str:
    """The name of a run's folder; repeats count from 1."""
    return label if repeat is None else f"{label}.{repeat}"


def refuse_earlier(folders: Sequence[Path], force: bool, job: Job | None = None) -> None:
    """Raises TraceanaError where one of the folders holds a run that may not be replaced."""
    for folder in folders:
        # What a command left that failed before it had a trace stands in nobody's way.
        earlier = _earlier(folder, job) if not force and folder.is_dir() else []
        if any(path.name.startswith("rank") for path in earlier):
            raise TraceanaError(
                f"{folder} holds a run already; name another one, or replace it by --force (force=True in Python)"
            )
        _refuse_left(folder, force)


def _refuse_left(folder: Path, force: bool) -> None:
    if not force and leftover.of_run(folder):
        raise TraceanaError(f"{folder}: {leftover.advice(folder)}, and --force forgets them")


@contextlib.contextmanager
def claimed(output: Path, label: str, force: bool, shared: bool = False, job: Job | None = None) -> Iterator[Claim]:
    """Hold `output/label` for one run, or one launcher's part in it; the scratch folder is gone at the end.

    Raises TraceanaError where the folder cannot be had: not writable, held by a run that goes on, or with a run in it.
    """
    if not re.fullmatch(r"[A-Za-z0-9][\w.+-]*", label):
        raise TraceanaError(f"{label!r} is no plain name for a run, of letters, digits, '.', '_', '+' and '-'")
    folder, scratch = (output / label).absolute(), (output / scratch_name(label, job)).absolute()
    _refuse_left(folder, force)
    with contextlib.ExitStack() as stack:
        try:
            output.mkdir(parents=True, exist_ok=True)
            lock = take(scratch, folder)
            stack.callback(os.close, lock)
            # What a refusal leaves can still be rescued.
            with removed_unless(leftover.has_traces(scratch), scratch):
                if job is not None:
                    write_launch(scratch, job)
                refuse_strangers(folder, scratch, job)
                make_folder(folder, shared)
                _remove_earlier(folder, force, job)
            stack.callback(remove, scratch, os.getpid())
            empty(scratch)
            if force:
                forget(left_by_others(folder, scratch, job))
        except OSError as error:
            raise TraceanaError(f"cannot write {folder}: {error.strerror}; choose another folder with -o") from error
        yield Claim(folder=folder, scratch=scratch, lock=lock, shared=shared, job=job)


def make_folder(folder: Path, shared: bool) -> None:
    """Open to its owner alone, unless it is to be shared; one of somebody else stays as it is."""
    if folder.is_symlink():
        raise TraceanaError(f"{folder} leads elsewhere; remove the link, or name another run")
    folder.mkdir(exist_ok=True, mode=0o777 if shared else 0o700)
    if not shared and folder.stat().st_uid == os.geteuid():
        folder.chmod(0o700)


def _remove_earlier(folder: Path, force: bool, job: Job | None) -> None:
    """An earlier run there is replaced only with force, and nothing but its own files."""
    refuse_earlier([folder], force, job)
    if not os.access(folder, os.W_OK):
        raise PermissionError(None, "no permission to write")
    for path in _earlier(folder, job):
        # Another launcher of the job may be at it too.
        path.unlink(missing_ok=True)
    end_orders(folder)


def end_orders(folder: Path) -> None:
    """Nobody orders a window of this run any more: nothing stays of one that never came to ranks. Raises OSError."""
    for window in _windows(folder):
        (window / ORDERED).unlink(missing_ok=True)
        remove_empty(window)


def remove_window(folder: Path, number: int) -> None:
    """Remove the folder of a later window, if nothing but measurements is left in it."""
    remove_empty(folder / window_name(number))


def remove_empty(window: Path) -> None:
    """Remove the folder, with what analyze keeps there of traces that are gone; one that holds something else stays."""
    if {path.name for path in window.iterdir()} <= {MEASURED}:
        shutil.rmtree(window, ignore_errors=True)


def _earlier(folder: Path, job: Job | None = None) -> list[Path]:
    """Files of a run. A job's launchers begin before any of them ends, so what is there before is an earlier run's.

    Except where a launcher failed at once, which a unique number of the launch tells.
    """
    folders = (folder, *_windows(folder))
    kept = set().union(*(_of_launch(each, job) for each in folders)) if job is not None and job.unique else set()
    return [path for each in folders for path in files_of_run(each) if path not in kept]


def files_of_run(folder: Path) -> list[Path]:
    """Those that capture leaves in the folder of one window."""
    return [path for path in folder.iterdir() if RUN_FILE.fullmatch(path.name)]


def _windows(folder: Path) -> list[Path]:
    found = (path for path in folder.iterdir() if WINDOW.fullmatch(path.name))
    return [path for path in found if path.is_dir() and not path.is_symlink()]


def _of_launch(folder: Path, job: Job) -> set[Path]:
    """The files that other launchers of this very job have left."""
    kept: set[Path] = set()
    for path in runfile.files(folder):
        part = runfile.read(path)
        if part.launch == job.launch and part.node != job.node:
            # One that is being published is there before its part says so.
            names = ("rank{}.json.gz", "nccl.rank{}.log", "paired.rank{}.jsonl")
            kept |= {path, *(folder / name.format(rank.rank) for rank in part.ranks for name in names)}
    return kept
