"""Finished reports kept beside their traces, so that the same analysis is not made twice.

An entry's key is a digest of all that a report depends on: the runs as they were found this time, every byte of their
traces, what lies beside them, the settings, and the code. A folder has one entry at most, which its user has signed.
"""

import contextlib
import hashlib
import os
import re
from pathlib import Path
from typing import Any

import msgspec
from traceana_capture.reading import DECODE_ERRORS, read_regular

from traceana.plug_ins import added_patterns
from traceana.report import Report
from traceana.saved import beside
from traceana.saved.inputs import Inputs
from traceana.saved.output import CALLS, PAGE, REPORT
from traceana.saved.signature import signed, verified
from traceana.saved.version import version_of_reports
from traceana.settings import Settings

_FILE = "finished.report"
_FILES = (PAGE, REPORT, CALLS)
_NOT_KEPT = (OSError, ImportError, *DECODE_ERRORS)
"""A key cannot be made of texts that are not UTF-8, of integers of over 64 bits, of packages that are not installed."""


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """A report, and the bytes of its files by their names."""

    report: Report
    files: dict[str, bytes]


class _Entry(msgspec.Struct, frozen=True, kw_only=True):
    """The files behind the key of what they were made from."""

    key: str
    files: dict[str, bytes]


def kept(inputs: Inputs, settings: Settings) -> Finished | None:
    """What was made of the very same before; None where nothing was, or it cannot be read."""
    if not _is_kept(inputs, settings):
        return None
    try:
        content = read_regular(_folder(inputs) / beside.FOLDER / _FILE)
        found = msgspec.msgpack.decode(verified(content), type=_Entry)
        if found.key != _key(inputs, settings) or found.files.keys() != set(_FILES):
            return None
        return Finished(report=msgspec.json.decode(found.files[REPORT], type=Report), files=found.files)
    except _NOT_KEPT:
        return None


def keep(inputs: Inputs, settings: Settings, report: Report, page: bytes, folder: Path) -> None:
    """Keep a report with its page and its calls, which lie in `folder`.

    Does nothing unless all of `inputs` was read and none changed meanwhile.
    """
    ranks = sum(len(run.ranks) for run in report.runs)
    if ranks != len(inputs.files) or not _is_kept(inputs, settings):
        return
    with contextlib.suppress(*_NOT_KEPT):
        files = {PAGE: page, REPORT: msgspec.json.encode(report), CALLS: (folder / CALLS).read_bytes()}
        # Another analysis may have written there meanwhile: its report, and then its calls.
        if files[REPORT] != (folder / REPORT).read_bytes():
            return
        content = signed(msgspec.msgpack.encode(_Entry(key=_key(inputs, settings), files=files)))
        if all(held.is_still_in(path) for path, held in inputs.contents.items()):
            beside.write(_folder(inputs), _FILE, content, instead_of=_FILE)


def _is_kept(inputs: Inputs, settings: Settings) -> bool:
    """HTA's answers depend on packages besides; of files without a digest nothing shows that they are the same."""
    return settings.cache and not settings.hta and inputs.contents.keys() == set(inputs.files)


def _folder(inputs: Inputs) -> Path:
    return inputs.files[0].parent


def _key(inputs: Inputs, settings: Settings) -> str:
    told = (
        version_of_reports(),
        inputs.found,
        [(path, inputs.contents[path].digest) for path in inputs.files],
        [*inputs.perf_dumps.items()],
        [*inputs.paired.items()],
        settings.baseline,
        settings.edges,
        (*settings.own_patterns, *added_patterns()),
        settings.benches,
    )
    return hashlib.sha256(msgspec.msgpack.encode(told, enc_hook=_plain)).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return os.fsencode(value)
    if isinstance(value, re.Pattern):
        return value.pattern, value.flags
    raise NotImplementedError(f"{type(value)} is nothing that a report depends on")
