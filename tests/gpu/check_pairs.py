"""What a run with pairs of both operations must have left, on each of its two ranks.

Usage: check_pairs.py RUN LOG [full]. With "full" a rank had no memory for a pair: one line says so, there are no pairs,
and the program went on. Prints a line for each size; exit code 1 where something is not so.
"""

import collections
import json
import statistics
import sys
from pathlib import Path

RANKS = 2


def main(run: Path, log: str, full: bool) -> list[str]:
    """What is wrong."""
    found = collections.defaultdict(list)
    for path in sorted(run.glob("paired.rank*.jsonl")):
        for call in map(json.loads, path.read_text().splitlines()):
            key = call["op"], call["message_bytes"], call["baseline"], call["candidate"]
            found[key].append((call["baseline_ns"], call["candidate_ns"], call["agree"]))
    for (op, size, one, other), rows in sorted(found.items()):
        middle = [statistics.median(row[side] for row in rows) / 1e3 for side in (0, 1)]
        differ = sum(not row[2] for row in rows)
        print(f"{op} of {size} bytes: {one} {middle[0]:.1f} us, {other} {middle[1]:.1f} us, "
              f"{len(rows)} calls of ranks, {differ} differ")  # fmt: skip
    ended = [line for line in log.splitlines() if "traceana: --paired ended" in line]
    backend = json.loads((run / "run.json").read_text())["backend"]
    wrong = [] if log.count(" rounds, [") == RANKS else ["a rank did not end its rounds"]
    wrong += [] if log.count("the program's own CUDA IPC: set up") == 0 else ["the program's own CUDA IPC was set up"]
    wrong += [] if backend["seen"] == ["torch.distributed"] else [f"the traces show {backend['seen']}"]
    if full:
        wrong += [] if len(ended) == 1 and "OutOfMemory" in ended[0] else [f"not one line of no memory: {ended}"]
        return wrong + ([f"{len(found)} kinds of pairs"] if found else [])
    wrong += [] if {op for op, *_ in found} == {"all_reduce", "all_to_all"} else ["an operation has no pairs"]
    wrong += ["results differ"] * any(not row[2] for rows in found.values() for row in rows)
    wrong += ["a time is not positive"] * any(min(row[:2]) <= 0 for rows in found.values() for row in rows)
    return wrong + ended + ([backend["mismatch"]] if backend["mismatch"] else [])


if __name__ == "__main__":
    faults = main(Path(sys.argv[1]), Path(sys.argv[2]).read_text(errors="replace"), "full" in sys.argv[3:])
    for fault in faults:
        print(f"wrong: {fault}")
    sys.exit(bool(faults))
