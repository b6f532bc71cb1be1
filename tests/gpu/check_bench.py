"""Is a bench right? Its times beside nccl-tests' on the same machine, and two benches beside each other.

Usage: check_bench.py beside|twice FOLDER, with what run_bench.sh left there.
"""

import itertools
import sys
from pathlib import Path

from traceana import units
from traceana.report.bench import BenchReport, BenchRow, BenchVerdict
from traceana.saved.bench import read_bench

_SHARE = 0.05
"""How far a time may be from nccl-tests'."""
_FROM = 1 << 20
"""Below, launches take longer than the calls, so that graphs alone tell the calls' time."""
_SHARE_BELOW = 0.12
"""nccl-tests' replays follow each other at once, and find messages of 256 KiB in the cache."""
_ON_STREAMS_OF_ITS_OWN = ("torch", "send_recv", True)
"""In a graph c10d's batch_isend_irecv forks to another stream and joins it again for each call."""
_IN_PLACE = ("all_reduce",)
"""What torch does in place."""

_Key = tuple[str, int, bool]


def beside(folder: Path) -> int:
    """Print each size's times, and count those that are too far from nccl-tests'."""
    ours = read_bench(folder / "bench.json")
    theirs: dict[_Key, BenchRow] = {}
    for path in sorted(folder.glob("nccl-*-graph?.json")):
        report = read_bench(path)
        text = read_bench(path.with_suffix(".txt"))
        pairs = zip(text.rows, report.rows, strict=True)
        # The text has six digits, and at most two after the point.
        assert all(abs(a.p50_ns - b.p50_ns) <= max(10, 1e-5 * b.p50_ns) for a, b in pairs), (
            f"{path}: text and JSON differ"
        )
        for row in report.rows:
            if row.in_place == (row.op in _IN_PLACE):
                theirs[row.op, row.message_bytes, row.graph] = row
    wrong = 0
    for row in ours.rows:
        small = row.message_bytes < _FROM
        other = theirs.get((row.op, row.message_bytes, row.graph))
        if other is None:
            print(f"{_name(row)}: nccl-tests has no such row")
            wrong += 1
            continue
        off = row.p50_ns / other.p50_ns - 1
        judged = (row.graph or not small) and (row.backend, row.op, row.graph) != _ON_STREAMS_OF_ITS_OWN
        far = judged and abs(off) > (_SHARE_BELOW if small else _SHARE)
        wrong += far
        times = f"{row.p50_ns / 1000:9.2f} µs, nccl-tests {other.p50_ns / 1000:9.2f} µs, {100 * off:+6.1f} %"
        if row.default_stream_p50_ns is not None:
            times += f", on the default stream {row.default_stream_p50_ns / 1000:.2f} µs"
        print(f"{_name(row)}: {times}, launch {units.duration(row.launch_ns)}{'  TOO FAR' if far else ''}")
    print(f"{wrong} of {len(ours.rows)} times are too far from nccl-tests'")
    return int(wrong > 0)


def twice(folder: Path) -> int:
    """Count verdicts that contradict each other, and intervals and sizes of change that lie apart."""
    one, other = (read_bench(folder / f"twice-{turn}.json") for turn in (1, 2))
    verdicts = {(v.op, v.message_bytes, v.graph): v for v in other.verdicts}
    pairs = [(v, verdicts[v.op, v.message_bytes, v.graph]) for v in one.verdicts]
    apart = sum(_apart(a, b) for a, b in pairs) + _crossovers_apart(one, other)
    against = sum(_contradicts(a, b) for a, b in pairs)
    certain = sum(v.certain for v in one.verdicts), sum(v.certain for v in other.verdicts)
    print(f"{len(pairs)} verdicts, {certain[0]} and {certain[1]} certain, {against} contradictions, {apart} apart")
    return int(against > 0 or apart > _SHARE * len(pairs))


def _contradicts(a: BenchVerdict, b: BenchVerdict) -> bool:
    against = not set(a.leaders) & set(b.leaders)
    if against:
        print(f"{a.op} {a.message_bytes} graph {a.graph}: {a.leaders} ({a.speedup:.3f}), then {b.leaders}")
    return against


def _apart(a: BenchVerdict, b: BenchVerdict) -> bool:
    same = (a.best, a.second) == (b.best, b.second)
    apart = same and (a.ci_high < b.ci_low or b.ci_high < a.ci_low)
    if apart:
        ranges = f"{a.ci_low:.3f}–{a.ci_high:.3f}, then {b.ci_low:.3f}–{b.ci_high:.3f}"
        print(f"{a.op} {a.message_bytes} graph {a.graph}: {a.best} over {a.second} {ranges}")
    return apart


def _crossovers_apart(one: BenchReport, other: BenchReport) -> int:
    """Of changes to the same backend: what is alike on the other side may go by either name."""
    apart = 0
    for a, b in itertools.product(one.crossovers, other.crossovers):
        if (a.op, a.graph, a.larger) == (b.op, b.graph, b.larger):
            ranges = f"{a.low_bytes}–{a.high_bytes} and {b.low_bytes}–{b.high_bytes}"
            disjoint = a.high_bytes < b.low_bytes or b.high_bytes < a.low_bytes
            print(f"{a.op} graph {a.graph}: {a.smaller} to {a.larger} at {ranges}{'  APART' if disjoint else ''}")
            apart += disjoint
    return apart


def _name(row: BenchRow) -> str:
    return f"{row.op:15}{row.message_bytes:>11} {row.backend:7} {'graph' if row.graph else 'eager'}"


if __name__ == "__main__":
    sys.exit({"beside": beside, "twice": twice}[sys.argv[1]](Path(sys.argv[2])))
