"""`python -m tests.bench.merge_ranks [RANKS [FILE]]`: time and peak memory of `merge` and `open`, as process trees.

An eighth of the ranks first, then all: memory must not grow with them as the files do. Ranks are synthetic or, with a
FILE as Kineto writes it, its events as each rank's own. Nothing is asserted: ratios within one run tell.
"""

import os
import sys
import tempfile
import urllib.request
from pathlib import Path
from urllib.parse import urljoin

from zlib_ng import zlib_ng

from tests.bench.grow import text_of
from tests.bench.process import Cost, cost_of
from tests.synthetic import Call, Run, write_run

_CALLS = (
    Call(op="all_reduce", nelems=1 << 20, delays_ns={1: 200_000}, overlap_ns=100_000),
    Call(op="all_gather", nelems=1 << 18),
)
_STEPS = 500
_MIB = 1 << 20
_FETCH = "fetch"


def main(ranks: int, file: Path | None) -> None:
    """A line a size and command; then how much more memory all ranks took than an eighth of them."""
    print(f"{'':<8}{'ranks':>8}{'MB of JSON':>12}{'wall s':>10}{'CPU s':>10}{'peak MiB':>10}")
    peaks: dict[str, list[int]] = {"merge": [], "open": []}
    for world_size in (ranks // 8, ranks):
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch, "run")
            megabytes = _write(folder, world_size, file) / 1e6
            for name, found in peaks.items():
                cost = _merge(folder, Path(scratch, "all.json.gz")) if name == "merge" else _open(folder)
                found.append(cost.peak_bytes)
                figures = f"{cost.wall_s:10.1f}{cost.cpu_s:10.1f}{cost.peak_mib:10.0f}"
                print(f"{name:<8}{world_size:>8}{megabytes:12.0f}{figures}", flush=True)
    for name, (few, many) in peaks.items():
        print(f"{name}: {many / few:.2f} of the memory for {ranks / (ranks // 8):.0f} times the ranks")


def _write(folder: Path, world_size: int, file: Path | None) -> int:
    """Write a run; returns the bytes of its JSON."""
    if file is None:
        write_run(folder, Run(world_size=world_size, calls=_CALLS, steps=_STEPS))
        return sum(len(text_of(trace)) for trace in folder.iterdir())
    folder.mkdir()
    text = text_of(file)
    for rank in range(world_size):
        own = text.replace(b'"rank": 0', b'"rank": %d' % rank, 1)
        (folder / f"rank{rank}.json.gz").write_bytes(zlib_ng.compress(own, 1, 31))
    return len(text) * world_size


def _merge(folder: Path, target: Path) -> Cost:
    return cost_of(["-m", "traceana", "merge", str(folder), "-o", str(target), "--workers", "2"], repeats=1)


def _open(folder: Path) -> Cost:
    """With a browser that fetches the trace and is closed."""
    os.environ.pop("SSH_CONNECTION", None)
    os.environ["BROWSER"] = f"{sys.executable} -m {__spec__.name} {_FETCH} %s &"
    return cost_of(["-m", "traceana", "open", str(folder), "--workers", "2"], repeats=1)


def fetch(url: str) -> None:
    """Do what the page does: hold a connection open, which ends the server when it is closed, and take the trace."""
    with urllib.request.urlopen(urljoin(url, "alive")), urllib.request.urlopen(urljoin(url, "trace.json.gz")) as trace:
        while trace.read(_MIB):
            pass


if __name__ == "__main__":
    if sys.argv[1:2] == [_FETCH]:
        fetch(sys.argv[2])
    else:
        main(int((sys.argv[1:2] or ["64"])[0]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
