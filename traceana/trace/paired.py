"""Calls that ran on both backends: what `traceana capture --paired` keeps as `paired.rank<N>.jsonl`, one a line."""

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from traceana.errors import TraceanaError

_FILE = re.compile(r"paired\.rank\d+\.jsonl")


class PairedCall(msgspec.Struct, frozen=True, kw_only=True):
    """One call of one rank; times in ns. `number` counts the paired calls of the group `ranks`, from 0.

    `message_bytes` is the size as nccl-tests counts it, `first` the backend that ran first, and `agree` whether both
    gave the same result but for rounding.
    """

    op: str
    message_bytes: int
    dtype: str
    ranks: tuple[int, ...]
    number: int
    first: str
    torch_ns: int
    pynccl_ns: int
    agree: bool


def read_paired_calls(folder: Path) -> list[PairedCall]:
    """The paired calls of all ranks of a run; raises TraceanaError where a file is damaged."""
    files = (path for path in sorted(folder.glob("paired.rank*.jsonl")) if _FILE.fullmatch(path.name))
    return [call for path in files for call in _read(path)]


def _read(path: Path) -> Iterator[PairedCall]:
    try:
        yield from msgspec.json.Decoder(PairedCall).decode_lines(path.read_bytes())
    except (OSError, msgspec.MsgspecError) as error:
        raise TraceanaError(f"{path}: cannot be read ({error}); remove it to analyze the run without it") from error
