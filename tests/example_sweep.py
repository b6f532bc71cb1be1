"""docs/example-sweep.html, from the report that docs/example-sweep.json.gz keeps of real runs.

Usage: python -m tests.example_sweep [SWEEP]. With SWEEP, the folder that tests/gpu/run_usp.sh leaves, the report is
made anew.
"""

import gzip
import re
import sys
from pathlib import Path

import msgspec
from msgspec.structs import replace

from tests.example import DOCS
from traceana.sweep.page import render
from traceana.sweep.report import SweepReport

KEPT, PAGE = DOCS / "example-sweep.json.gz", DOCS / "example-sweep.html"
_FOLDERS = re.compile(r"(?<=[ =])/(?:[^/ ]+/)+")
"""Of the machine that it ran on."""


def kept() -> SweepReport:
    """The report that the example shows."""
    return msgspec.json.decode(gzip.decompress(KEPT.read_bytes()), type=SweepReport)


def keep(sweep: Path) -> None:
    """Keep the report of the runs in `sweep`, with paths as anyone's would be."""
    report = msgspec.json.decode((sweep / "report.json").read_bytes(), type=SweepReport)
    cells = tuple(replace(cell, shell=tuple(_FOLDERS.sub("", line) for line in cell.shell)) for cell in report.cells)
    KEPT.write_bytes(gzip.compress(msgspec.json.encode(replace(report, cells=cells)), mtime=0))


if __name__ == "__main__":
    for sweep in sys.argv[1:]:
        keep(Path(sweep))
    PAGE.write_text(render(kept()), encoding="utf-8")
