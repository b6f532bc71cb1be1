"""Holds what the two ranks of vllm_block.py called against what their traces say of it.

Usage: check_vllm.py RUN SAID, where SAID is what the ranks were told in that variable. Prints for each call which
kernels it launched, with their operation, elements and backend; fails where a call has no kernel with its operation and
its elements, where another kernel of it has a size too, and where a result was wrong.
"""

import bisect
import collections
import gzip
import json
import re
import sys
from pathlib import Path
from typing import Any

COMMUNICATION = re.compile(r"nccl|all_?reduce|cross_device|mnnvl|two_?shot", re.IGNORECASE)
KEYS = ("Collective name", "In msg nelems", "Out msg nelems", "dtype", "traceana backend")


def short(name: str) -> str:
    return re.sub(r"^void |<.*|\(.*", "", name).rpartition("::")[2][:44]


class Trace:
    """A rank's launches by thread, and kernels by the launch that they belong to."""

    def __init__(self, path: Path) -> None:
        self.events = json.loads(gzip.decompress(path.read_bytes()))["traceEvents"]
        self.launches: dict[Any, list[tuple[float, int]]] = collections.defaultdict(list)
        self.kernels: dict[int, list[Any]] = collections.defaultdict(list)
        for event in self.events:
            correlation = event.get("args", {}).get("correlation")
            if event.get("cat") in ("cuda_runtime", "cuda_driver") and correlation:
                self.launches[event["tid"]].append((event["ts"], correlation))
            elif event.get("cat") == "kernel" and COMMUNICATION.search(event["name"]):
                self.kernels[correlation].append(event)
        for launches in self.launches.values():
            launches.sort()

    def inside(self, name: str) -> list[list[Any]]:
        """The kernels of communication that each span of this name launched."""
        spans = [e for e in self.events if e.get("cat") == "user_annotation" and e["name"] == name]
        found = []
        for span in spans:
            launches = self.launches[span["tid"]]
            first = bisect.bisect_left(launches, (span["ts"], -1))
            last = bisect.bisect_left(launches, (span["ts"] + span["dur"], -1))
            mine = [kernel for _, correlation in launches[first:last] for kernel in self.kernels[correlation]]
            found.append(sorted(mine, key=lambda kernel: float(kernel["ts"])))
        return found


def told(kernel: Any) -> str:
    word, sent, received, kind, backend = (kernel["args"].get(key) for key in KEYS)
    size = f"{sent}->{received} {kind}" if sent is not None or received is not None else "no size"
    return f"{short(kernel['name'])} [{word} {size}, {backend or 'torch.distributed'}]"


def fault(line: dict[str, Any], kernels: list[Any]) -> str:
    """What is wrong with what the trace says of one call."""
    if line.get("error"):
        return f"failed: {line['error'][:150]}"
    if line.get("none") and not kernels:
        return "answered None, and launched nothing: right"
    if not line.get("right"):
        return "WRONG RESULT"
    sized = [kernel["args"] for kernel in kernels if kernel["args"].get("In msg nelems") is not None]
    as_called = [a for a in sized if (a["In msg nelems"], a.get("Out msg nelems")) == (line["sent"], line["received"])]
    if len(as_called) == len(kernels) == 1:
        words = (as_called[0]["Collective name"], line["word"])
        return "" if words[0] == words[1] else f"called {words[0]}, and is {words[1]}"
    return f"{len(as_called)} of {len(kernels)} kernels have its size {line['sent']}->{line['received']}"


def rank(run: Path, said: str, number: int) -> int:
    trace, faults = Trace(run / f"rank{number}.json.gz"), 0
    lines = [json.loads(line) for line in Path(f"{said}.rank{number}.jsonl").read_text().splitlines()]
    print(f"{run.name} rank {number}: {lines[0]['made']}")
    for line in lines[1:]:
        if line["call"].startswith("graph"):
            continue
        found = trace.inside(f"call {line['call']}")
        faulty = {fault(line, kernels) for kernels in found} or {fault(line, [])}
        faults += faulty != {""} and not all(text.endswith(": right") for text in faulty)
        counted = collections.Counter(told(kernel) for kernels in found for kernel in kernels)
        print(f"  {line['call']:22} x{len(found)}: {dict(counted)} {'; '.join(sorted(faulty - {''})) or 'ok'}")
    graph = [line for line in lines if str(line.get("call")).startswith("graph")]
    for replay in trace.inside("replay")[:1]:
        wanted = collections.Counter((g["word"], g["sent"], g["received"]) for g in graph if "word" in g)
        got = collections.Counter(tuple(kernel["args"].get(key) for key in KEYS[:3]) for kernel in replay)
        print(f"  replay: {len(replay)} kernels for {len(graph)} calls: {[told(kernel) for kernel in replay]}")
        if wanted != got:
            print(f"  replay: missing {dict(wanted - got)}, beside {dict(got - wanted)}")
            faults += 1
    for line in graph:
        if line.get("error") or not line.get("right"):
            print(f"  {line['call']}: {line.get('error') or 'WRONG RESULT'}")
            faults += 1
    return faults


if __name__ == "__main__":
    found = [rank(Path(sys.argv[1]), sys.argv[2], number) for number in (0, 1)]
    print(f"{sys.argv[1]}: {sum(found)} calls of ranks are not as called")
    sys.exit(bool(sum(found)))
