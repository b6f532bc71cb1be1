"""Fails unless each of a run's two ranks recorded all steps that were asked for, on the backend that was asked for.

Usage: check_sglang.py RUN
"""

import sys
from pathlib import Path

from traceana_capture import runfile


def faults(run: runfile.FoundRun) -> list[str]:
    """What is wrong with a run, in words."""
    found = [f"{len(run.ranks)} ranks recorded"] if len(run.ranks) != 2 else []
    found += [f"rank {rank.rank}: {rank.reason}" for rank in run.ranks if rank.outcome != "complete"]
    found += [f"rank {rank.rank}: {rank.still_to_come}" for rank in run.ranks if rank.still_to_come]
    return found + ([run.backend.mismatch] if run.backend.mismatch else [])


if __name__ == "__main__":
    wrong = faults(runfile.read(Path(sys.argv[1])))
    print(sys.argv[1], *(wrong or ["whole"]))
    sys.exit(bool(wrong))
