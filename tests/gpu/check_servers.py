"""Prints what the two ranks' traces of a run or of one window hold; fails where a collective is missing or has no size.

Usage: check_servers.py FOLDER [ROUNDS]. Fails where a rank's trace is missing, where there is no collective with a
payload, where one has no size, and with ROUNDS where a rank has another number of calls of an operation.
"""

import collections
import gzip
import json
import re
import sys
from pathlib import Path
from typing import Any

COMMUNICATION = re.compile("nccl|all_?reduce|spin_wait")
# The block's broadcasts on the host are a scheduler's.
IDLE_BYTES = 16


def calls(path: Path) -> tuple[collections.Counter[Any], int]:
    """Of one rank: calls by operation, elements sent and backend, and kernels of communication without a size."""
    events = json.loads(gzip.decompress(path.read_bytes()))["traceEvents"]
    kernels = [e for e in events if e.get("cat") == "kernel" and COMMUNICATION.search(e["name"])]
    found = kernels or [event for event in events if "Collective name" in event.get("args", {})]
    of = (event["args"] for event in found)
    sized = collections.Counter(
        (a.get("Collective name"), a.get("In msg nelems"), a.get("traceana backend", "torch.distributed")) for a in of
    )
    # Of an exchange by CUDA IPC one kernel carries its size, and its signals have none.
    signals = {"CUDA IPC"}
    missing = sum(count for (_, elements, by), count in sized.items() if elements is None and by not in signals)
    return sized, missing


def faults(folder: Path, rounds: int | None) -> list[str]:
    """What is wrong, in words."""
    wrong: list[str] = []
    for rank in (0, 1):
        path = folder / f"rank{rank}.json.gz"
        if not path.exists():
            wrong.append(f"no trace of rank {rank}")
            continue
        sized, missing = calls(path)
        payload = {call: count for call, count in sized.items() if call[1] is None or call[1] > IDLE_BYTES}
        lines = [f"{count} {op} of {elements} by {by}" for (op, elements, by), count in payload.items()]
        print(f"{folder} rank {rank}:", ", ".join(lines))
        wrong += [f"rank {rank}: {missing} kernels without a size"] if missing else []
        wrong += [] if payload else [f"rank {rank}: no collective with a payload"]
        wrong += [
            f"rank {rank}: {count} {op}, and there were {rounds} rounds"
            for (op, _, _), count in payload.items()
            if rounds is not None and count != rounds
        ]
    return wrong


if __name__ == "__main__":
    found = faults(Path(sys.argv[1]), int(sys.argv[2]) if sys.argv[2:] else None)
    print(sys.argv[1], *(found or ["whole"]))
    sys.exit(bool(found))
