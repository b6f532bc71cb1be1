"""What capture costs a process that never uses torch: `python -m tests.bench.capture_startup`, at most 2 ms.

Both kinds take turns, so that what else the machine does meets both; what counts is the median of the differences.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from traceana_capture.launcher.inject import inject
from traceana_capture.launcher.options import Options

PAIRS = 100


def seconds(environment: Mapping[str, str]) -> float:
    """Wall time of an interpreter that does nothing."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], env=environment, check=True)
    return time.perf_counter() - begin


def main() -> None:
    """Print the medians and their difference."""
    with tempfile.TemporaryDirectory() as folder:
        captured = inject(Path(folder), Options(argv=("true",), nccl={}))
        pairs = [(seconds(os.environ), seconds(captured)) for _ in range(PAIRS)]
    alone, under = (1000 * statistics.median(times) for times in zip(*pairs, strict=True))
    more = 1000 * statistics.median(under - alone for alone, under in pairs)
    print(f"alone {alone:.2f} ms, under capture {under:.2f} ms, difference {more:.2f} ms ({under / alone:.3f} x)")


if __name__ == "__main__":
    main()
