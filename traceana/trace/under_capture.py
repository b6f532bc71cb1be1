"""Whether a perf dump tells of a program that capture slowed: its request ran under capture, or in an open window."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
from traceana_capture import runfile

from traceana.plain import plain


class _Times(msgspec.Struct, frozen=True, kw_only=True):
    """Of one window: its command, and when it recorded; None where run.json does not say."""

    started: datetime | None
    ended: datetime | None
    opened: datetime | None
    closed: datetime | None


def slowed(dump: Path, written: str | None, lasted_ns: int) -> str | None:
    """Why the times of a dump, whose request ended when it was `written`, are not the program's own; None if they are.

    Looked at are the captured run in whose folder the dump is, the one after which it is named, and those beside it.
    """
    end = _moment(written)
    begin = _later(end, -lasted_ns / 1e9)
    for folder in _folders(dump):
        windows = list(_windows(folder))
        name, belongs = plain(folder.name), _belongs(dump, folder)
        if any(_recorded(window, begin, end) for window in windows):
            return f"capture recorded {name} meanwhile"
        if belongs and any(_ran(window, end) for window in windows):
            return f"it was made under capture, as a part of {name}"
    return None


def _folders(dump: Path) -> Iterator[Path]:
    yield dump.parent
    try:
        found = sorted(path for path in dump.parent.iterdir() if path.is_dir())
    except OSError:
        return
    # The one that it is named after first: what is beside it may be another command's.
    yield from sorted(found, key=lambda path: not _belongs(dump, path))


def _belongs(dump: Path, folder: Path) -> bool:
    if dump.parent == folder:
        return True
    rest = dump.stem.removeprefix(folder.name)
    return dump.stem.startswith(folder.name) and (not rest or (rest[0] in "-_." and rest[1:2].isalpha()))


def _windows(folder: Path) -> Iterator[_Times]:
    for place in (folder, *sorted(folder.glob("window*"))):
        for file in runfile.files(place):
            run = runfile.read(file)
            if run.argv is None and run.started is None:
                continue
            opened = _moment(run.window.get("opened"))
            lasted = max((rank.lasted_s or 0.0 for rank in run.ranks), default=0.0)
            yield _Times(
                started=_moment(run.started),
                ended=None if run.exit_code is None else _moment(run.ended),
                opened=opened,
                closed=_later(opened, lasted),
            )


def _recorded(window: _Times, begin: datetime | None, end: datetime | None) -> bool:
    """Whether the window was open while the request ran."""
    if begin is None or end is None or window.opened is None or window.closed is None:
        return False
    return window.opened <= end and begin <= window.closed


def _ran(window: _Times, end: datetime | None) -> bool:
    """Whether the dump may be of this command."""
    if end is None or window.started is None:
        return True
    return window.started <= end and (window.ended is None or end <= window.ended)


def _later(moment: datetime | None, seconds: float) -> datetime | None:
    """So much later; None where no calendar has it."""
    try:
        return None if moment is None else moment + timedelta(seconds=seconds)
    except OverflowError:
        return None


def _moment(text: object) -> datetime | None:
    """A time with its zone, or None."""
    try:
        found = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return found if found is not None and found.tzinfo is not None else None
