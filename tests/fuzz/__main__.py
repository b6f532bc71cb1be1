"""`python -m tests.fuzz [TARGET …] [--seconds N] [--keep]`: fuzz readers one after the other, and say what was found.

Each target runs in a process of its own, which ends at the first input that raises, takes over 10 s or over 1 GiB; that
input is kept below the folder that is printed. `--keep` puts the smallest inputs that reached new code into
`tests/fuzz/corpus`.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from itertools import accumulate
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
_LIMITS = ("-timeout=10", "-rss_limit_mb=1024", "-verbosity=1", "-print_final_stats=1")

_LEAST_LENGTH = 2 << 10
# Of a target, so that all of them together stay small.
_MOST_KEPT, _MOST_BYTES = 40, 20_000


def main() -> int:
    """Run what was asked for; returns 1 where an input was found."""
    parser = argparse.ArgumentParser(prog="tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*")
    parser.add_argument("--seconds", type=int, default=60, help="of each target")
    parser.add_argument("--keep", action="store_true", help="minimize the corpus and keep it")
    options = parser.parse_args()
    from tests.fuzz.targets import TARGETS, seeds

    found = False
    with tempfile.TemporaryDirectory(prefix="traceana-corpus-") as scratch:
        for target in options.targets or TARGETS:
            folder = Path(scratch, target)
            folder.mkdir()
            for number, seed in enumerate(seeds(target)):
                (folder / f"seed{number}").write_bytes(seed)
            for file in (CORPUS / target).glob("*"):
                shutil.copy(file, folder)
            found |= _fuzz(target, folder, options.seconds)
            if options.keep:
                _keep(target, folder)
    return int(found)


def _fuzz(target: str, folder: Path, seconds: int) -> bool:
    """Fuzz one target; returns whether it was stopped by an input."""
    artifacts = Path(tempfile.gettempdir(), f"traceana-fuzz-{target}-")
    longest = max(file.stat().st_size for file in folder.iterdir())
    limits = (f"-max_total_time={seconds}", f"-max_len={max(2 * longest, _LEAST_LENGTH)}")
    done = _run(target, str(folder), *limits, f"-artifact_prefix={artifacts}")
    executed = re.search(r"number_of_executed_units:\s*(\d+)", done)
    covered = re.findall(r"cov: (\d+)", done)
    inputs = re.findall(r"Test unit written to (\S+)", done)
    reached = f"{executed[1] if executed else '?'} inputs in {seconds} s, {covered[-1] if covered else '?'} branches"
    print(f"{target}: {reached}, " + (f"found {', '.join(inputs)}" if inputs else "nothing found"), flush=True)
    if inputs or not executed:
        print(done[-3_000:], flush=True)
    return bool(inputs)


def _keep(target: str, folder: Path) -> None:
    """The smallest inputs, each of which reached code that none before it did; seeds are made anew each time."""
    kept = CORPUS / target
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)
    found = [file for file in folder.iterdir() if not file.name.startswith("seed")]
    found.sort(key=lambda file: (file.stat().st_size, file.name))
    sizes = accumulate(file.stat().st_size for file in found)
    for file, size in zip(found[:_MOST_KEPT], sizes, strict=False):
        if size <= _MOST_BYTES:
            shutil.copy(file, kept)


def _run(target: str, *arguments: str) -> str:
    command = [sys.executable, "-m", "tests.fuzz.process", target, *_LIMITS, *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.stdout.decode(errors="replace")


if __name__ == "__main__":
    sys.exit(main())
