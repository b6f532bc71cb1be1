"""`python -m tests.bench.stacks [FILE]`: what Python's frames cost a reader, and what passing over them would save.

Without FILE a trace with stacks is recorded here. Frames say where the host was while a GPU waited, so that an analysis
needs them; a merge leaves them out. `passed over` finds them in the bytes by a pattern, and decodes what is left:
it pays only where that is less than decoding all. CPU times, the least of several; nothing is asserted.
"""

import re
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench.grow import events_range, text_of
from traceana.trace.events import decode_events
from traceana.trace.read import read_rank

_REPEATS = 5
_OPERATORS, _DEPTH = 3_000, 40
_FRAME = re.compile(
    rb'\{\s*"ph": "X",\s*"cat": "python_function",\s*"name": "[^"\\]*",\s*"pid": \d+,\s*"tid": \d+,'
    rb'\s*"ts": [\d.]+,\s*"dur": [\d.]+\s*(?:,\s*"args": \{[^{}\\]*\})?\s*\},?\s*'
)


def main(file: Path) -> None:
    """A line for each way to read the file."""
    text = text_of(file)
    events = text[slice(*events_range(text))].strip()
    left, frames = _FRAME.subn(b"", events)
    left = left.rstrip().rstrip(b",")
    many = len(decode_events(events).events)
    print(f"{file.name}: {len(text) / 1e6:.0f} MB, {frames} of {many} events are frames ({frames / many:.0%})")
    ways: dict[str, Callable[[], object]] = {
        "read as a rank": lambda: read_rank(file),
        "all events decoded": lambda: decode_events(events),
        "only the others decoded": lambda: decode_events(left),
        "frames passed over": lambda: _FRAME.subn(b"", events),
    }
    for name, way in ways.items():
        print(f"{name:<26}{1e3 * _least_s(way) / (len(text) / 1e6):8.2f} CPU ms a MB", flush=True)


def _least_s(way: Callable[[], object]) -> float:
    found = []
    for _ in range(_REPEATS):
        started = time.process_time()
        way()
        found.append(time.process_time() - started)
    return min(found)


def record(target: Path) -> None:
    """Operators on the host far down in Python, with stacks: of ten events nine are frames."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    tensor = torch.ones(8)
    with profile(activities=[ProfilerActivity.CPU], with_stack=True) as profiler:
        for _ in range(_OPERATORS):
            _deep(lambda: tensor + 1, _DEPTH)
    profiler.export_chrome_trace(str(target))


def _deep(does: Callable[[], object], depth: int) -> object:
    return _deep(does, depth - 1) if depth else does()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as scratch:
            record(Path(scratch, "rank0.json"))
            main(Path(scratch, "rank0.json"))
