"""`python -m tests.bench.merge_ranks [RANKS [STEPS]]`: wall time and peak memory of a merge of synthetic ranks."""

import sys
import tempfile
from pathlib import Path

from tests.bench.process import cost_of
from tests.synthetic import Call, Run, write_run

_CALLS = (
    Call(op="all_reduce", nelems=1 << 20, delays_ns={1: 200_000}, overlap_ns=100_000),
    Call(op="all_gather", nelems=1 << 18),
)


def main(ranks: int, steps: int) -> None:
    """Merge an eighth of the ranks, then all: memory must not grow with them as the files do."""
    for world_size in (ranks // 8, ranks):
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch, "run")
            write_run(folder, Run(world_size=world_size, calls=_CALLS, steps=steps))
            target = Path(scratch, "all.json.gz")
            cost = cost_of(["-m", "traceana", "merge", str(folder), "-o", str(target), "--workers", "2"], repeats=1)
            size = sum(file.stat().st_size for file in folder.iterdir()) / (1 << 20)
            print(
                f"{world_size} ranks, {size:.0f} MiB of gzip: {cost.wall_s:.1f} s, {cost.peak_mib:.0f} MiB at peak, "
                f"{target.stat().st_size / (1 << 20):.0f} MiB written"
            )


if __name__ == "__main__":
    main(*(int(word) for word in (*sys.argv[1:], "64", "500")[:2]))
