"""`python -m tests.bench PATH`: prints what analyzing the traces below PATH costs, as whole processes.

Nothing is asserted: machines differ, ratios within one run tell. Each figure is the median of three runs.
"""

import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.bench.grow import text_of, write_copies, write_damaged
from tests.bench.process import Cost, cost_of

_COPIES = (1, 2, 4)
_KINDS = (b'"odd": NaN, ', b'"odd": "a"b", ', b'"odd": "\xe9", ', b'"odd" 1, ', b'"odd": {, ', b'"odd": 1,5, ')
_GOOD = (b"",) * len(_KINDS)
_DAMAGE = {
    "every event has NaN": _KINDS[:1],
    "every event has a bare quote": _KINDS[1:2],
    "every event has one of six kinds": _KINDS,
    "every second event has one": tuple(kind for pair in zip(_KINDS, _GOOD, strict=True) for kind in pair),
}
# As where no compiler was there at installation.
_UNCOMPILED = "import sys; sys.modules['traceana.trace.scan'] = None; from traceana.cli import main; main()"
_STARTS = {
    "python -c pass": ["-c", "pass"],
    "import traceana": ["-c", "import traceana"],
    "traceana --help": ["-m", "traceana", "--help"],
}


def main(path: Path) -> None:
    """All five tables."""
    files = sorted(path.rglob("*.json*")) if path.is_dir() else [path]
    if not files:
        sys.exit(f"{path}: no traces; name a folder of .json or .json.gz files")
    megabytes = sum(len(text_of(file)) for file in files) / 1e6
    print(f"{path.name}: {len(files)} files, {megabytes:.0f} MB of JSON; medians of 3, whole processes\n")
    with tempfile.TemporaryDirectory() as folder:
        against_peers(files, Path(folder))
        over_copies(files, Path(folder))
        again(files, Path(folder))
        of_damage(files[0], Path(folder))
    starting()


def against_peers(files: list[Path], scratch: Path) -> None:
    """Analysis with its report, HTA's three first answers, and the floor."""
    names = [str(file) for file in files]
    ours = _analyze(files, scratch / "report")
    uncompiled = _analyze(files, scratch / "report", program=["-c", _UNCOMPILED])
    hta = cost_of(["-W", "ignore", "-m", "tests.hta_numbers", *names])
    floor = cost_of(["-m", "tests.bench.floor", *names])
    _table(
        {
            "traceana analyze": ours,
            "without the compiled scan": uncompiled,
            "HTA: load, overlap, breakdown": hta,
            "floor: inflate, parse": floor,
        }
    )
    slower = uncompiled.wall_s / ours.wall_s, uncompiled.cpu_s / ours.cpu_s
    print(f"without the scan / with it: wall {slower[0]:.2f}, CPU {slower[1]:.2f}")
    print(f"HTA / traceana: wall {hta.wall_s / ours.wall_s:.1f}, memory {hta.peak_bytes / ours.peak_bytes:.1f}")
    print(f"traceana / floor: wall {ours.wall_s / floor.wall_s:.2f}, CPU {ours.cpu_s / floor.cpu_s:.2f}\n")


def over_copies(files: list[Path], scratch: Path) -> None:
    """A line through the costs shows whether they grow with the events or faster."""
    costs = {}
    for copies in _COPIES:
        folder = scratch / f"{copies}-copies"
        folder.mkdir()
        grown = [folder / f"rank{number}.json.gz" for number in range(len(files))]
        size = sum(write_copies(file, target, copies) for file, target in zip(files, grown, strict=True))
        costs[f"{copies} × the events, {size / 1e6:.0f} MB"] = _analyze(grown, scratch / "report")
        for target in grown:
            target.unlink()
    _table(costs)
    one, two, four = costs.values()
    growth = (four.cpu_s - two.cpu_s) / (two.cpu_s - one.cpu_s)
    print(f"CPU from 2 × to 4 × over CPU from 1 × to 2 ×: {growth:.2f} (2 is linear)")
    print(f"memory at 4 × over 1 ×: {four.peak_bytes / one.peak_bytes:.2f} (1 is bounded)\n")


def starting() -> None:
    """What a quick command costs before it does anything."""
    costs = {name: cost_of(arguments, repeats=9) for name, arguments in _STARTS.items()}
    bare = costs["python -c pass"].wall_s
    for name, cost in costs.items():
        more_ms = 1000 * (cost.wall_s - bare)
        print(f"{name:<18}{1000 * cost.wall_s:6.0f} ms, {more_ms:4.0f} ms more than a bare interpreter")


def _analyze(files: list[Path], report: Path, *options: str, program: Sequence[str] = ("-m", "traceana")) -> Cost:
    words = [*program, "analyze", *map(str, files), "-o", str(report), "--force"]
    return cost_of([*words, *(options or ("--no-cache",))])


def again(files: list[Path], scratch: Path) -> None:
    """The same files once more, of which nothing but their digests is read."""
    folder = scratch / "again"
    folder.mkdir()
    kept = [Path(shutil.copy(file, folder / f"rank{number}{file.suffix}")) for number, file in enumerate(files)]
    first = _analyze(kept, scratch / "report")
    _analyze(kept, scratch / "report", "--workers=0")
    second = _analyze(kept, scratch / "report", "--workers=0")
    _table({"traceana analyze": first, "the same files again": second})
    print(f"again / first: wall {second.wall_s / first.wall_s:.2f}, CPU {second.cpu_s / first.cpu_s:.2f}\n")


def of_damage(file: Path, scratch: Path) -> None:
    """One file whose every event needs mending, or is lost: of more the ratios would be the same."""
    costs = {"one file as it is": _analyze([file], scratch / "report")}
    damaged = scratch / "rank0.json.gz"
    for name, damage in _DAMAGE.items():
        write_damaged(file, damaged, damage)
        costs[name] = _analyze([damaged], scratch / "report")
    _table(costs)
    whole, *others = costs.values()
    print(f"damaged / whole: CPU {', '.join(f'{cost.cpu_s / whole.cpu_s:.2f}' for cost in others)} (5 is the limit)\n")


def _table(costs: dict[str, Cost]) -> None:
    print(f"{'':<32}{'wall s':>8}{'CPU s':>8}{'peak MiB':>10}")
    for name, cost in costs.items():
        print(f"{name:<32}{cost.wall_s:8.2f}{cost.cpu_s:8.2f}{cost.peak_mib:10.0f}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m tests.bench PATH")
    main(Path(sys.argv[1]))
