"""docs/example.html and docs/report.png, from the report that docs/example.json.gz keeps of real runs.

Usage: python -m tests.example [TRACES]. With TRACES, those of tests/gpu/run_sglang.sh, the kept report is made anew.
"""

import gzip
import sys
import tempfile
from pathlib import Path

import msgspec
from msgspec.structs import replace

from tests.browser import chromium
from traceana.pipeline import analyze
from traceana.render.html import render
from traceana.report import Report
from traceana.settings import Settings

DOCS = Path(__file__).parents[1] / "docs"
KEPT, PAGE, PICTURE = DOCS / "example.json.gz", DOCS / "example.html", DOCS / "report.png"
WIDTH, HEIGHT = 1360, 1000


def kept() -> Report:
    """The report that the example shows."""
    return msgspec.json.decode(gzip.decompress(KEPT.read_bytes()), type=Report)


def keep(traces: Path) -> None:
    """Analyze the runs below `traces` and keep their report, with paths and hosts as anyone's would be."""
    report = analyze([traces], Settings(), lambda *_: None).report
    runs = tuple(
        replace(
            run,
            path=f"traces/{Path(run.path).name}",
            setup=run.setup and replace(run.setup, argv=tuple(map(_anyones, run.setup.argv))),
            ranks=tuple(replace(rank, host="node-a") for rank in run.ranks),
        )
        for run in report.runs
    )
    KEPT.write_bytes(gzip.compress(msgspec.json.encode(replace(report, runs=runs)), mtime=0))


def _anyones(word: str) -> str:
    """A word of a command line without the folders of the machine that it ran on."""
    return Path(word).name if word.startswith("/") else word


def picture() -> bytes:
    """The page's first screen as PNG."""
    with tempfile.TemporaryDirectory() as profile, chromium(Path(profile)) as driver:
        metrics = {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": True}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        driver.get(PAGE.as_uri())
        return driver.get_screenshot_as_png()


if __name__ == "__main__":
    for traces in sys.argv[1:]:
        keep(Path(traces))
    PAGE.write_text(render(kept()), encoding="utf-8")
    PICTURE.write_bytes(picture())
