"""Fails unless the rank that late_rank.py made late is named as such, with its reason, and by as much as it spun.

Usage: check_late.py TRACES SPIN.JSON RANK [NEAR], where NEAR is the share that the median step may be off, 0.05 unless
told otherwise. Steps are compared one by one, without the first ones.
"""

import json
import statistics
import sys
from pathlib import Path

import traceana

WARM_UP = 2


def main(traces: str, spin: Path, planted: int, near: float = 0.05) -> int:
    """Print each step's lateness beside its spin, and count what is wrong."""
    run = traceana.read(traces).report
    spun_ns = json.loads(spin.read_text())
    found = {rank.rank: rank for rank in run.late}
    worst = max(run.late, key=lambda rank: rank.calls.rooted_ns).rank if run.late else None
    print(f"latest rank: {worst}, planted: {planted}")
    if worst != planted:
        return 1
    shares = []
    for step in found[planted].steps:
        number = int(step.step.split()[-1])
        if number >= WARM_UP:
            shares.append(step.late_ns / spun_ns[number])
            kernel = step.kernels[0].name if step.kernels else "no kernel"
            print(f"{step.step}: late {step.late_ns / 1e6:.3f} ms, spun {spun_ns[number] / 1e6:.3f} ms, {kernel}")
    off = statistics.median(shares) - 1
    print(f"{len(shares)} steps, median {100 * off:+.2f} %, from {100 * min(shares):.1f} to {100 * max(shares):.1f} %")
    return int(abs(off) > near)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), *map(float, sys.argv[4:])))
