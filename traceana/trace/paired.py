"""Calls that ran on two backends: what `traceana capture --paired` keeps as `paired.rank<N>.jsonl`, one a line."""

import re
from pathlib import Path
from typing import Annotated

import msgspec
from traceana_capture.reading import DECODE_ERRORS, read_regular

from traceana.plain import plain

# What no call can have makes its line a damaged one, instead of overflowing a column later.
_Integer = Annotated[int, msgspec.Meta(ge=0, le=1 << 48)]
_Time = Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]
_FILE = re.compile(r"paired\.rank\d+\.jsonl")


class PairedCall(msgspec.Struct, frozen=True, kw_only=True):
    """One call of one rank; times in ns. `number` counts the paired calls of the group `ranks`, from 0.

    `message_bytes` is the size as nccl-tests counts it, `baseline` and `candidate` are the two backends as `--backend`
    names them, `first` is the one that ran first, and `agree` whether both gave the same result but for rounding.
    """

    op: str
    message_bytes: _Integer
    dtype: str
    ranks: tuple[_Integer, ...]
    number: _Integer
    first: str
    baseline: str
    candidate: str
    baseline_ns: _Time
    candidate_ns: _Time
    agree: bool


class _TorchAndPynccl(msgspec.Struct, frozen=True, kw_only=True):
    """A line from when these two were the only ones."""

    op: str
    message_bytes: _Integer
    dtype: str
    ranks: tuple[_Integer, ...]
    number: _Integer
    first: str
    torch_ns: _Time
    pynccl_ns: _Time
    agree: bool


_decoder = msgspec.json.Decoder(PairedCall)
_older_decoder = msgspec.json.Decoder(_TorchAndPynccl)


class PairedCalls(msgspec.Struct, frozen=True, kw_only=True):
    """The paired calls of all ranks of a run, and a line for each file of which something is left out."""

    calls: tuple[PairedCall, ...]
    left_out: tuple[str, ...]


def read_paired_calls(folder: Path) -> PairedCalls:
    """What the files of `folder` hold."""
    calls: list[PairedCall] = []
    left_out: list[str] = []
    for path in sorted(folder.glob("paired.rank*.jsonl")):
        if _FILE.fullmatch(path.name):
            found, reason = _read(path)
            calls += found
            left_out += [plain(f"{path.name}: {reason}")] if reason else []
    return PairedCalls(calls=tuple(calls), left_out=tuple(left_out))


def _read(path: Path) -> tuple[list[PairedCall], str | None]:
    try:
        lines = read_regular(path).splitlines()
    except OSError as error:
        return [], f"cannot be read ({error.strerror}); its calls on both backends are left out"
    found = [_call(line) for line in lines if line.strip()]
    calls = [call for call in found if call is not None]
    lost = len(found) - len(calls)
    return calls, f"{lost} of {len(found)} calls on both backends are damaged and left out" if lost else None


def _call(line: bytes) -> PairedCall | None:
    try:
        return _older(_older_decoder.decode(line)) if b'"torch_ns"' in line else _decoder.decode(line)
    except DECODE_ERRORS:
        return None


def _older(call: _TorchAndPynccl) -> PairedCall:
    return PairedCall(
        op=call.op,
        message_bytes=call.message_bytes,
        dtype=call.dtype,
        ranks=call.ranks,
        number=call.number,
        first=call.first,
        baseline="torch",
        candidate="pynccl",
        baseline_ns=call.torch_ns,
        candidate_ns=call.pynccl_ns,
        agree=call.agree,
    )
