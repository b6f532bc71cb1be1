"""Analyzes what field_block.py recorded and compares each kind of call with the program's own count of it.

Usage: check_field.py FOLDER. Fails where a count or a message size differs. Sizes are not in a host-only trace, so
there only the calls of each operation are counted.
"""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

# gloo makes reduce_scatter of all_reduce, and its trace says so.
ON_HOST = {"reduce_scatter": "all_reduce"}
Kind = tuple[str, int | None]


def report_of(folder: Path) -> Any:
    """The only run in report.json."""
    output = folder / "report"
    command = [sys.executable, "-m", "traceana", "analyze", str(folder), "-o", str(output)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    (run,) = json.loads((output / "report.json").read_text())["runs"]
    return run


def expected_calls(folder: Path) -> list[dict[str, Any]]:
    """All ranks' ledgers together."""
    return [
        call for path in sorted(folder.glob("expected.rank*.json")) for call in json.loads(path.read_text())["calls"]
    ]


def by_size(calls: list[dict[str, Any]], size: str) -> Counter[Kind]:
    """Counts by operation and `size`, "bytes" for each rank's own or "largest_bytes"."""
    counts: Counter[Kind] = Counter()
    for call in calls:
        counts[call["op"], call[size]] += call["count"]
    return counts


def on_host(calls: list[dict[str, Any]]) -> Counter[Kind]:
    counts: Counter[Kind] = Counter()
    for call in calls:
        counts[ON_HOST.get(call["op"], call["op"]), None] += call["count"]
    return counts


def group_faults(operations: list[dict[str, Any]], calls: list[dict[str, Any]]) -> list[str]:
    """Operations whose group is not the one that issued them; what two ranks exchange needs no group."""
    sizes = {(call["op"], call[size], call["group_size"]) for call in calls for size in ("bytes", "largest_bytes")}
    return [
        f"{row['op']} of {row['message_bytes']} bytes: group size {row['group_size']}"
        for row in operations
        if row["op"] != "send_recv" and (row["op"], row["message_bytes"], row["group_size"]) not in sizes
    ]


def compared(expected: Counter[Kind], found: Counter[Kind]) -> list[tuple[Kind, int, int]]:
    return [(kind, expected[kind], found[kind]) for kind in sorted(expected.keys() | found.keys(), key=str)]


def check(folder: Path) -> bool:
    run, calls = report_of(folder), expected_calls(folder)
    operations = run["operations"]
    host_only = all(rank["source"] == "cpu" for rank in run["ranks"])
    found: Counter[Kind] = Counter()
    for row in operations:
        found[row["op"], None if host_only else row["message_bytes"]] += row["count"]
    # A collective whose ranks send unlike amounts may be listed by each rank's own or by the largest.
    wanted = [on_host(calls)] if host_only else [by_size(calls, "bytes"), by_size(calls, "largest_bytes")]
    rows = min((compared(expected, found) for expected in wanted), key=lambda rows: sum(a != b for _, a, b in rows))
    print(f"{'operation':<16}{'bytes':>12}{'expected':>10}{'found':>8}")
    for (op, size), expected_count, found_count in rows:
        mark = "" if expected_count == found_count else "   DIFFERS"
        print(f"{op:<16}{size if size is not None else '-':>12}{expected_count:>10}{found_count:>8}{mark}")
    faults = [] if host_only else group_faults(operations, calls)
    faults += [] if {row["backend"] for row in operations} == {"torch.distributed"} else ["not all torch.distributed"]
    coverage = run["coverage"]
    print(f"{coverage['matched']} of {coverage['collectives']} matched, {coverage['without_size']} without size")
    for line in (*(f"note: {note}" for note in coverage["notes"]), *(f"FAULT: {fault}" for fault in faults)):
        print(line)
    return not faults and all(expected_count == found_count for _, expected_count, found_count in rows)


if __name__ == "__main__":
    sys.exit(not check(Path(sys.argv[1])))
