"""A sweep of 2 × 2 × 2 cells on the CPU workload, whole and killed three times: `python -m tests.sweep_kills`.

Takes minutes; `make test` has a smaller one in tests/integration/test_sweep_command.py. SIGKILL comes at random;
the same command goes on each time. Prints what was begun, killed and counted, and fails where the two sweeps differ in
anything but times.
"""

import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from traceana.sweep.journal import Record, read
from traceana.sweep.report import SweepCell, SweepReport
from traceana.sweep.whole import read as read_report

KILLS = 3
RUNS = 2 * 2 * 2 * (3 + 1)
JOB = ("--world", "2", "--start", "fork", "--steps", "2", "--port", "29741", "--layers", "{layers}", "--seq", "{seq}")
AXES = ("--axis", "layers=1,2", "--axis", "seq=64,128", "--axis", "nccl=plain,no-p2p")


def command(folder: Path) -> list[str]:
    block = Path(__file__).with_name("ulysses_block.py")
    sweep = [sys.executable, "-m", "traceana", "sweep", "-o", str(folder), *AXES, "--repeats", "3", "--no-traces"]
    return [*sweep, "--gpus", "2", "--", sys.executable, str(block), *JOB]


def whole(folder: Path) -> float:
    """Seconds of a sweep that nobody disturbs."""
    began = time.monotonic()
    subprocess.run(command(folder), check=True, capture_output=True)
    return time.monotonic() - began


def killed(folder: Path, seconds: float, chance: random.Random) -> int:
    """The same, killed KILLS times; returns how many runs were begun in all."""
    begun = 0
    for number in range(KILLS + 1):
        with tempfile.TemporaryFile("w+") as said:
            process = subprocess.Popen(command(folder), stdout=subprocess.DEVNULL, stderr=said)
            if number < KILLS:
                time.sleep(chance.uniform(0.1, 0.3) * seconds)
                process.send_signal(signal.SIGKILL)
            code = process.wait()
            said.seek(0)
            begun += sum(line.startswith("run ") for line in said)
        print(
            f"{'ended' if number == KILLS else 'killed'} ({code}): {begun} begun, {len(read(folder))} counted",
            flush=True,
        )
    return begun


def main() -> None:
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    with tempfile.TemporaryDirectory() as place:
        undisturbed, disturbed = Path(place, "whole"), Path(place, "killed")
        seconds = whole(undisturbed)
        print(f"whole: {len(read(undisturbed))} runs in {seconds:.0f} s", flush=True)
        begun = killed(disturbed, seconds, random.Random(seed))
        records = read(disturbed)
        assert len(records) == len({record.key for record in records}) == RUNS
        assert RUNS <= begun <= RUNS + KILLS, begun
        assert sorted(map(timeless, records)) == sorted(map(timeless, read(undisturbed)))
        assert of_report(read_report(disturbed)) == of_report(read_report(undisturbed))
        print(f"each of {RUNS} runs counted once, {begun - RUNS} begun twice, and the reports agree in all but times")


def timeless(record: Record) -> tuple[object, ...]:
    return record.key, record.gpus, record.failure, record.value_ns is None


def of_report(report: SweepReport) -> tuple[object, ...]:
    """What no time is in: cells with their runs, axes, and what there is to say."""
    effects = [(one.axis, one.choice, one.over, one.pairs) for one in report.effects]
    return report.command, report.axes, report.baseline, report.unfinished, sorted(map(of_cell, report.cells)), effects


def of_cell(cell: SweepCell) -> tuple[object, ...]:
    return cell.label, cell.settings, cell.gpus, len(cell.values_ns), cell.failure or "", cell.shell


if __name__ == "__main__":
    main()
