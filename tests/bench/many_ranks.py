"""`python -m tests.bench.many_ranks [RANKS …]`: what joining the parts of so many simulated ranks costs, as processes.

10,000 calls a rank; 4,096 ranks are 14 GB of parts, which are deleted afterwards. Peaks are of resident memory with the
pages of parts that are in it, as a user sees it, and of what was allocated alone, looked at in a tenth of the time.
Nothing is asserted: ratios within one run tell.
"""

import sys
import tempfile
from pathlib import Path

from tests.bench.process import cost_of
from tests.bench.simulated_parts import Simulated, write_parts

_CALLS = 10_000


def main(sizes: list[int]) -> None:
    """A line a size, with its cost a rank beside that of the first one."""
    heads = f"{'wall s':>10}{'CPU s':>10}{'CPU ms a rank':>16}{'of the first':>14}"
    print(f"{'ranks':>8}{heads}{'peak MiB':>10}{'allocated':>11}{'page KB':>9}")
    first = 0.0
    for ranks in sizes:
        with tempfile.TemporaryDirectory() as scratch:
            parts = write_parts(Path(scratch, "parts"), Simulated(ranks=ranks, calls=_CALLS))
            report = Path(scratch, "report")
            cost = cost_of(["-m", "traceana", "analyze", *map(str, parts), "-o", str(report)], repeats=1)
            page_kb = (report / "report.html").stat().st_size / 1e3
        a_rank = 1000 * cost.cpu_s / ranks
        first = first or a_rank
        figures = f"{cost.wall_s:10.1f}{cost.cpu_s:10.1f}{a_rank:16.1f}{a_rank / first:14.2f}"
        memory = f"{cost.peak_mib:10.0f}{cost.peak_anonymous_mib:11.0f}"
        print(f"{ranks:8}{figures}{memory}{page_kb:9.0f}", flush=True)


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]] or [64, 512, 4096])
