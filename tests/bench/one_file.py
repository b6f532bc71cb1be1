"""`python -m tests.bench.one_file FILE [GB …]`: what reading one grown trace costs, from small to as large as asked.

FILE is as Kineto writes it; its events are repeated until the JSON is so large, and packed as they come. What is
written is deleted at once. Nothing is asserted: ratios within one run tell.
"""

import sys
import tempfile
from pathlib import Path

from tests.bench.grow import write_grown
from tests.bench.process import cost_of


def main(file: Path, gigabytes: list[float]) -> None:
    """A line a size, with its pace beside that of the first one, and how much its memory grew since for each MB."""
    heads = f"{'wall s':>10}{'CPU s':>10}{'CPU ms a MB':>14}{'of the first':>14}{'peak MiB':>10}{'grows by':>10}"
    print(f"{'MB of JSON':>12}{heads}")
    first, smallest, least_mb = 0.0, 0.0, 0.0
    for size in gigabytes:
        with tempfile.TemporaryDirectory() as scratch:
            target = Path(scratch, "rank0.json.gz")
            megabytes = write_grown(file, target, round(size * 1e9)) / 1e6
            report = str(Path(scratch, "report"))
            cost = cost_of(["-m", "traceana", "analyze", str(target), "-o", report, "--no-cache"], repeats=1)
        pace = 1000 * cost.cpu_s / megabytes
        peak_mb = cost.peak_bytes / 1e6
        first, smallest, least_mb = first or pace, smallest or megabytes, least_mb or peak_mb
        grows = (peak_mb - least_mb) / (megabytes - smallest) if megabytes > smallest else 0.0
        figures = f"{cost.wall_s:10.1f}{cost.cpu_s:10.1f}{pace:14.2f}{pace / first:14.2f}{cost.peak_mib:10.0f}"
        print(f"{megabytes:12.0f}{figures}{grows:10.3f}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: python -m tests.bench.one_file FILE [GB …]")
    main(Path(sys.argv[1]), [float(word) for word in sys.argv[2:]] or [0.3, 0.6, 1.2, 2.4, 10])
