"""`python -m tests.bench.where FILE…`: where the CPU time of a first `analyze` goes, in one process.

Each figure is the least of five, of all files together; a pool reads files at once, and the rest is done once.
"""

import importlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from itertools import chain
from pathlib import Path
from typing import Any

_TURNS = 5
_JOINS = ("traceana.pipeline", "traceana.saved.write", "traceana.render.html", "traceana.render.text.overview")


def main(names: list[str]) -> None:
    """A line a part, in the order in which an analysis does them."""
    started = time.process_time()
    for module in ("traceana.cli", "traceana.commands.analyze", "traceana.measuring", *_JOINS):
        importlib.import_module(module)
    imports = time.process_time() - started
    from traceana.analyze.measure import measure_rank
    from traceana.measuring import measure_inputs
    from traceana.pipeline import analyze_measured
    from traceana.render.html import render
    from traceana.saved.inputs import inputs
    from traceana.saved.write import write
    from traceana.settings import Settings
    from traceana.trace.file import TraceFile
    from traceana.trace.stream import ByteStream
    from traceana.trace.table import COMPILED, scanned

    files = [Path(name) for name in names]
    # Each of these does what the one before it does, and more.
    inflated, decoded, measured = _least(
        lambda: _drain(chain.from_iterable(map(ByteStream, files))),
        lambda: _drain(chain.from_iterable(TraceFile(file, scan=scanned).stretches() for file in files)),
        lambda: [measure_rank(file) for file in files],
    )
    settings = Settings(workers=1)
    part = measure_inputs(inputs(files, cache=False), settings, lambda _done, _all, _name: None)
    analysis = analyze_measured(part, settings)
    with tempfile.TemporaryDirectory() as folder:
        joined, page, saved = _least(
            lambda: analyze_measured(part, settings),
            lambda: render(analysis.report),
            lambda: write(analysis.report, analysis.runs, Path(folder)),
        )
    parts = {
        "Python starts": started,
        "imports": imports,
        "inflate (zlib-ng)": inflated,
        f"JSON to {'rows (compiled)' if COMPILED else 'events (msgspec)'}": decoded - inflated,
        "these to a rank's numbers": measured - decoded,
        "match, causes, replay": joined,
        "page": page,
        "report.json, parquet": saved,
    }
    for name, seconds in parts.items():
        print(f"{name:<26}{1000 * seconds:6.0f} ms{100 * seconds / sum(parts.values()):5.0f} %")


def _drain(pieces: Iterable[Any]) -> int:
    return sum(1 for _ in pieces)


def _least(*works: Callable[[], Any]) -> list[float]:
    """The least CPU seconds of each, done in turns, so that a slow moment of the machine is none of one alone."""
    costs: list[list[float]] = [[] for _ in works]
    for _ in range(_TURNS):
        for work, of_work in zip(works, costs, strict=True):
            before = time.process_time()
            work()
            of_work.append(time.process_time() - before)
    return [min(of_work) for of_work in costs]


if __name__ == "__main__":
    main(sys.argv[1:])
