"""`python -m tests.bench.figures [--benches]`: every number that README.md and docs/ state, from where it comes.

Numbers of the code are read from the code and those of the example from the example, each in the words of its document;
a test holds the documents to them. Costs are measured anew with --benches, which takes a quarter of an hour; those of a
GPU are measured on one, by the commands that are printed.
"""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from click import Command
from traceana_capture.agent import closing, kills
from traceana_capture.launcher import launch, processes, rescue

from tests import example, example_sweep
from tests.judge.test_verdicts import SEEDS
from traceana import units
from traceana.analyze.noise import TELLING
from traceana.commands import analyze, capture
from traceana.comparing.perf_changes import STAGE_BOUND, STAGE_BOUND_NS
from traceana.comparing.repeats import FEWEST_REPEATS
from traceana.comparing.verdict import FALSE_ALARMS, MUST_BE_SEEN, SMALLEST_RELEVANT
from traceana.sweep import page

ROOT = Path(__file__).parents[2]
README, CAPTURE, COMPARE, BENCH = "README.md", "docs/capture.md", "docs/compare.md", "docs/bench.md"
SWEEP = "docs/sweep.md"
WORDS = {3: "three", 5: "five", 6: "six"}
OVERHEAD = "tests.bench.capture_overhead"
BENCHES = (
    *(
        f"{OVERHEAD} --device {device} --operators {operators}"
        for device in ("cpu", "fake")
        for operators in (240, 60, 20)
    ),
    "tests.bench.capture_startup",
)
ON_A_GPU = (
    f"{OVERHEAD} --device cuda --operators 240",
    f"{OVERHEAD} --device cuda --operators 20 --repeats 8",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A number in the words in which a document states it."""

    document: str
    statement: str


def figures() -> tuple[Figure, ...]:
    """All that needs no measurement."""
    return (*_of_the_example(), *_of_the_sweep(), *_of_options(), *_of_endings(), *_of_verdicts())


def _of_the_example() -> list[Figure]:
    """What README says of the example is in its report."""
    report = example.kept()
    (comparison,) = report.comparisons
    torch, pynccl = (WORDS[sum(run.side == side for run in report.runs)] for side in ("torch", "pynccl"))
    times = {row.metric: row for row in comparison.end_to_end}
    exposed, step = (
        f"from {units.duration(row.baseline_p50_ns)} to {units.duration(row.candidate_p50_ns)}".replace("\xa0", " ")
        for row in (times["exposed"], times["step"])
    )
    sizes = f"all {len(comparison.rows)} sizes"
    assert {row.verdict for row in comparison.rows} == {"no difference"}
    assert {row.verdict for row in comparison.end_to_end} == {"cannot tell"}
    return [
        Figure(document=README, statement=f"exposed communication {exposed} a step"),
        Figure(document=README, statement=f"the step {step}"),
        Figure(document=README, statement=f"{torch} runs with torch.distributed and {pynccl} with PyNccl"),
        Figure(document=README, statement=f"equally fast at {sizes}"),
    ]


def _of_the_sweep() -> list[Figure]:
    """What docs/sweep.md says of the example is in its report, which its page shows."""
    report = example_sweep.kept()
    assert example_sweep.PAGE.read_text(encoding="utf-8") == page.render(report)
    assert not any(cell.against_baseline and cell.against_baseline.verdict == "faster" for cell in report.cells)
    assert [dict(cell.settings)["ring"] for cell in report.cells if cell.cause and cell.cause.mismatch] == ["2"]
    return [
        Figure(document=SWEEP, statement="Neither ring attention instead of Ulysses nor PyNccl instead of"),
        Figure(document=SWEEP, statement="with a ring PyNccl carries a part only"),
    ]


def _of_options() -> list[Figure]:
    duration, collectives, memory = (
        _default(capture.command, name) for name in ("duration", "max_collectives", "max_memory")
    )
    return [
        Figure(document=README, statement=f"`--buckets {_default(analyze.command, 'buckets')}`"),
        Figure(document=CAPTURE, statement=f"its longest time, {duration:g} s unless told otherwise"),
        Figure(document=CAPTURE, statement=f"so many are recorded, {collectives:,} unless told otherwise"),
        Figure(document=CAPTURE, statement=f"has grown by so much, {memory:,} unless told otherwise"),
    ]


def _default(command: Command, name: str) -> float | str:
    (found,) = (option.default for option in command.params if option.name == name)
    assert isinstance(found, int | float | str)
    return found


def _of_endings() -> list[Figure]:
    alone, together = kills.GRACE_S, kills.GRACE_OF_ALL_S
    return [
        Figure(document=CAPTURE, statement=f"{alone:g} s at most, and {together:g} s for all ranks together"),
        Figure(document=CAPTURE, statement=f"the exit code is {launch.TIMED_OUT}"),
        Figure(document=CAPTURE, statement=f"SIGTERM, and SIGKILL {processes.TERM_GRACE_S:g} s later"),
        Figure(document=CAPTURE, statement=f"exit code {rescue.EXIT_CODE} in `run.json`"),
        Figure(document=CAPTURE, statement=f"does not come back within {closing.PATIENCE_S:g} s"),
    ]


def _of_verdicts() -> list[Figure]:
    interval, alarms = _percent(1 - FALSE_ALARMS), _percent(FALSE_ALARMS)
    repeats = WORDS[FEWEST_REPEATS]
    return [
        Figure(document=README, statement=f"a {interval} interval: over runs where there are {repeats} or more a side"),
        Figure(document=COMPARE, statement=f"With {repeats} or more runs a side, the runs are the sample"),
        Figure(document=COMPARE, statement=f"the chance of even one false alarm at {alarms}"),
        Figure(document=COMPARE, statement=f'Below {_percent(SMALLEST_RELEVANT)} is "no difference"'),
        Figure(document=COMPARE, statement=f'"No difference" is said only where {_percent(MUST_BE_SEEN)} either way'),
        Figure(document=COMPARE, statement=f"drifts by more than {_percent(TELLING)} within a recording"),
        Figure(document=COMPARE, statement=f"at or below {alarms} over {SEEDS} seeds"),
        Figure(document=COMPARE, statement=f"bounds of {_percent(STAGE_BOUND)} and {STAGE_BOUND_NS // 10**6} ms"),
    ]


def _percent(share: float) -> str:
    return f"{100 * share:g} %"


def main(benches: bool) -> None:
    """Print all; benches print what they measure themselves."""
    for figure in figures():
        print(f"{figure.document:16} {figure.statement}")
    for bench in BENCHES:
        print(f"{CAPTURE:16} measured by `python -m {bench}`", flush=True)
        if benches:
            subprocess.run([sys.executable, "-m", *bench.split()], cwd=ROOT, check=True)
    for bench in ON_A_GPU:
        print(f"{CAPTURE:16} measured on an H100 by `python -m {bench}`")
    print(f"{BENCH:16} measured on two H200 by `tests/gpu/run_bench.sh`")


if __name__ == "__main__":
    main("--benches" in sys.argv[1:])
