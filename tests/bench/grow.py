"""Traces out of real ones: bigger, with all events again, later and with launch numbers of their own, or damaged."""

import re
from collections.abc import Sequence
from functools import partial
from itertools import cycle
from pathlib import Path

from zlib_ng import zlib_ng

_TIME = re.compile(rb'("ts": *)(\d+)')
_NUMBER = re.compile(rb'("(?:correlation|External id|id)": *)(\d+)')
_ARRAY_START = re.compile(rb'"traceEvents": *\[')
_ARRAY_END = re.compile(rb'\](?=\s*,\s*"traceName")')
_ARGS = re.compile(rb'"args": *\{(?=\s*")')
_PAUSE_US = 1000


def text_of(file: Path) -> bytes:
    """A trace's JSON."""
    data = file.read_bytes()
    return zlib_ng.decompress(data, 31) if data[:2] == b"\x1f\x8b" else data


def write_copies(file: Path, target: Path, copies: int) -> int:
    """Write `file` with its events `copies` times; returns the bytes of its JSON."""
    text = text_of(file)
    start, end = events_range(text)
    events = text[start:end]
    shift_us, numbers = _shifts(events)
    parts = [_later(events, copy * shift_us, copy * numbers) for copy in range(copies)]
    content = text[:start] + b",".join(parts) + text[end:]
    target.write_bytes(zlib_ng.compress(content, 1, 31))
    return len(content)


def write_damaged(file: Path, target: Path, kinds: Sequence[bytes]) -> None:
    """Write `file` with damage at the beginning of each event's args, one kind after another."""
    kind = cycle(kinds)
    target.write_bytes(zlib_ng.compress(_ARGS.sub(lambda args: args[0] + next(kind), text_of(file)), 1, 31))


def write_grown(file: Path, target: Path, least: int) -> int:
    """Write `file` with its events as often as make at least so many bytes, a copy at a time; returns the bytes."""
    text = text_of(file)
    start, end = events_range(text)
    events = text[start:end]
    shift_us, numbers = _shifts(events)
    packer, size, copy = zlib_ng.compressobj(1, wbits=31), 0, 0
    with target.open("wb") as packed:
        for piece in (text[:start], events):
            packed.write(packer.compress(piece))
            size += len(piece)
        while size < least:
            copy += 1
            piece = b"," + _later(events, copy * shift_us, copy * numbers)
            packed.write(packer.compress(piece))
            size += len(piece)
        packed.write(packer.compress(text[end:]) + packer.flush())
    return size + len(text) - end


def _shifts(events: bytes) -> tuple[int, int]:
    """By how much times and launch numbers of a copy are later than those of the one before."""
    times = [int(match[2]) for match in _TIME.finditer(events)]
    return max(times) - min(times) + _PAUSE_US, max(int(match[2]) for match in _NUMBER.finditer(events)) + 1


def events_range(text: bytes) -> tuple[int, int]:
    """Where the array's inside begins and ends."""
    start, end = _ARRAY_START.search(text), _ARRAY_END.search(text)
    if start is None or end is None:
        raise ValueError("grow needs files as Kineto writes them, with traceName after the events")
    return start.end(), end.start()


def _later(events: bytes, shift_us: int, shift_numbers: int) -> bytes:
    if not shift_us:
        return events
    return _NUMBER.sub(partial(_add, shift_numbers), _TIME.sub(partial(_add, shift_us), events))


def _add(summand: int, match: re.Match[bytes]) -> bytes:
    return match[1] + str(int(match[2]) + summand).encode()
