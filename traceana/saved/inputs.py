"""What an analysis is made from: the runs below PATHS as they were found, and what their files hold."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from traceana.report import PerfDump
from traceana.saved.contents import Content, contents
from traceana.trace.discover import Discovery, discover
from traceana.trace.paired import PairedCalls, read_paired_calls
from traceana.trace.perf_dump import read_perf_dump

_ALL = (1, 1)


class Inputs(msgspec.Struct, frozen=True, kw_only=True):
    """Runs, the ranks' `files` that are to be measured, and what lies beside them."""

    found: Discovery
    files: tuple[Path, ...]
    contents: Mapping[Path, Content]
    """Of files whose content is looked for in a cache."""
    perf_dumps: Mapping[Path, PerfDump]
    paired: Mapping[Path, PairedCalls]
    """By the folder of the run."""


def inputs(paths: Sequence[Path], *, cache: bool, share: tuple[int, int] = _ALL) -> Inputs:
    """All below `paths`, of whose files the n-th of m shares is measured. Raises TraceanaError as `discover` does."""
    found = discover(paths)
    files = tuple(file.path for run in found.runs for file in run.ranks)[share[0] - 1 :: share[1]]
    return Inputs(
        found=found,
        files=files,
        contents=contents(files) if cache else {},
        perf_dumps={path: read_perf_dump(path) for run in found.runs for path in run.perf_dumps},
        paired={run.folder: read_paired_calls(run.folder) for run in found.runs},
    )
