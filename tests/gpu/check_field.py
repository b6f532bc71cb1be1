"""Analyzes what field_block.py recorded and compares each kind of call with the program's own count of it.

Usage: check_field.py FOLDER. Fails where a count, a message size or the number of calls in one kernel differs. Sizes
are not in a host-only trace, so there only the calls of each operation are counted.
"""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

# gloo makes reduce_scatter of all_reduce, and its trace says so.
ON_HOST = {"reduce_scatter": "all_reduce"}
Kind = tuple[str, int | None, int]


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
    """Counts by operation, `size` ("bytes" for each rank's own or "largest_bytes") and members."""
    counts: Counter[Kind] = Counter()
    for call in calls:
        counts[call["op"], call[size], call["members"]] += call["count"]
    return counts


def on_host(calls: list[dict[str, Any]]) -> Counter[Kind]:
    counts: Counter[Kind] = Counter()
    for call in calls:
        counts[ON_HOST.get(call["op"], call["op"]), None, 1] += call["count"]
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


def found_calls(operations: list[dict[str, Any]], host_only: bool) -> Counter[Kind]:
    counts: Counter[Kind] = Counter()
    for row in operations:
        kind = (row["op"], None, 1) if host_only else (row["op"], row["message_bytes"], row["members"])
        counts[kind] += row["count"]
    return counts


def differing(rows: list[tuple[Kind, int, int]]) -> int:
    return sum(expected != found for _, expected, found in rows)


def compare(run: Any, calls: list[dict[str, Any]]) -> tuple[list[tuple[Kind, int, int]], list[str]]:
    """Each kind of call with its expected and its found count, and what else is wrong."""
    operations, host_only = run["operations"], all(rank["source"] == "cpu" for rank in run["ranks"])
    # A collective whose ranks send unlike amounts may be listed by each rank's own or by the largest.
    wanted = [on_host(calls)] if host_only else [by_size(calls, "bytes"), by_size(calls, "largest_bytes")]
    found = found_calls(operations, host_only)
    rows = min((compared(expected, found) for expected in wanted), key=differing)
    faults = [] if host_only else group_faults(operations, calls)
    others = {row["backend"] for row in operations} - {"torch.distributed"}
    return rows, faults + [f"backend {backend}" for backend in sorted(others)]


def check(folder: Path) -> bool:
    """Print the comparison; whether all is as the program counted it."""
    run = report_of(folder)
    rows, faults = compare(run, expected_calls(folder))
    print(f"{'operation':<16}{'bytes':>12}{'members':>9}{'expected':>10}{'found':>8}")
    for (op, size, members), expected, found in rows:
        mark = "" if expected == found else "   DIFFERS"
        print(f"{op:<16}{size if size is not None else '-':>12}{members:>9}{expected:>10}{found:>8}{mark}")
    coverage = run["coverage"]
    print(f"{coverage['matched']} of {coverage['collectives']} matched, {coverage['without_size']} without size")
    for line in (*(f"note: {note}" for note in coverage["notes"]), *(f"FAULT: {fault}" for fault in faults)):
        print(line)
    return not faults and not differing(rows)


if __name__ == "__main__":
    sys.exit(not check(Path(sys.argv[1])))
