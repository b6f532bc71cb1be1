"""Measured ranks kept beside their run, so that the same file is not read twice.

An entry's name holds a digest of the trace's whole content, of what measures, and of the user's patterns: a file that
changed, or another version, finds none. A trace has one entry at most.
"""

import contextlib
import hashlib
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace
from traceana_capture.reading import read_regular

from traceana.analyze.measure import RankResult, measure_rank
from traceana.errors import TraceanaError
from traceana.kernels import KernelPattern
from traceana.saved import beside, measured
from traceana.saved.contents import Content
from traceana.saved.version import version

_SUFFIX = ".measured"


def cached(path: Path, content: Content, own_patterns: Sequence[KernelPattern] = ()) -> RankResult | None:
    """What was measured of this very content before; None where nothing was, or it cannot be read."""
    try:
        entry = path.parent / beside.FOLDER / _entry(path, content, own_patterns)
        return replace(measured.decode(read_regular(entry)), path=path)
    except (OSError, TraceanaError):
        return None


def measure_and_keep(file: tuple[Path, Content | None], own_patterns: Sequence[KernelPattern] = ()) -> RankResult:
    """Measure the file and keep what was found, where it has the content still, and its folder can be written.

    Raises TraceanaError as measuring does.
    """
    path, content = file
    result = measure_rank(path, own_patterns)
    if content is not None and content.is_still_in(path):
        with contextlib.suppress(OSError):
            others = f"{beside.escaped(path.name)}.*{_SUFFIX}"
            beside.write(path.parent, _entry(path, content, own_patterns), measured.encode(result), instead_of=others)
    return result


def _entry(path: Path, content: Content, own_patterns: Sequence[KernelPattern]) -> str:
    digest = hashlib.sha256(f"{content.digest} {version()}".encode())
    for own in own_patterns:
        digest.update(repr((own.library, own.regex.pattern, own.regex.flags, own.backend, own.op)).encode())
    return f"{path.name}.{digest.hexdigest()[:32]}{_SUFFIX}"
