"""Eight runs of one setting, split into two sides of four in all 35 ways: how often traceana sees a difference.

Usage: relabel.py FOLDER. There is none to see, so every "faster" or "slower" is false; fails where more than 5 % of the
splits have one.
"""

import sys
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path

from traceana.analyze.run import AnalyzedRun
from traceana.comparing.comparison import compare
from traceana.comparing.sides import Side
from traceana.pipeline import analyze
from traceana.settings import Settings

MOST_FALSE = 0.05


def splits(runs: Sequence[AnalyzedRun]) -> Iterator[tuple[Side, Side]]:
    """Each way to halve the runs once: the first run is always in the first half."""
    first, *others = runs
    for chosen in combinations(others, len(runs) // 2 - 1):
        rest = tuple(run for run in others if run not in chosen)
        yield Side(label="A", runs=(first, *chosen)), Side(label="B", runs=rest)


def false_verdicts(baseline: Side, candidate: Side) -> list[str]:
    """What a comparison of equals claims to see."""
    found = compare(baseline, candidate)
    whole = [row for row in found.end_to_end if row.verdict in ("faster", "slower")]
    calls = [f"{row.op} {row.message_bytes} {row.verdict} {row.speedup:.3f}x" for row in found.certain]
    return calls + [f"{row.metric} {row.name} {row.verdict} {row.speedup:.3f}x" for row in whole]


def main(folder: Path) -> bool:
    runs = analyze([folder], Settings(), lambda _done, _all, _name: None).runs
    seen = [false_verdicts(*split) for split in splits(runs)]
    wrong = [verdicts for verdicts in seen if verdicts]
    print(f"{len(runs)} runs, {len(seen)} splits: {len(wrong)} with a false verdict")
    for verdicts in wrong:
        print("; ".join(verdicts))
    return bool(seen) and len(wrong) <= MOST_FALSE * len(seen)


if __name__ == "__main__":
    sys.exit(not main(Path(sys.argv[1])))
