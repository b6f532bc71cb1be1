"""Settings that a bench and a replay rule out: the run's collectives are measured under each, and its steps replayed.

A bench of seconds stands in for a job of minutes. It only takes settings out, because what it measures is the
collectives by themselves.
"""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from traceana import units
from traceana.errors import TraceanaError
from traceana.report import RunReport
from traceana.report.bench import SIZED_OPERATIONS
from traceana.sweep.launch import fresh, run
from traceana.sweep.plan import ENVIRONMENT, KEPT, UNSET, Axis
from traceana.sweep.runner import last_lines
from traceana.sweep.space import Pruned

HOPELESS = 1.05
"""A setting whose replayed step is this much longer than the baseline's is not run on the job."""
_FACTOR = 4
_LONGEST_BENCH_S = 120.0


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What to measure: ranks, operations, and the sizes from `smallest` to `largest`, in bytes."""

    ranks: int
    operations: tuple[str, ...]
    smallest: int
    largest: int

    @property
    def arguments(self) -> tuple[str, ...]:
        """Of `traceana bench`: a few blocks, as only what is far slower counts."""
        span = ("-b", str(self.smallest), "-e", str(self.largest * _FACTOR - 1), "-f", str(_FACTOR))
        few = ("--blocks", "3", "--iterations", "10", "--graphs", "off", "--backend", "torch")
        return ("--ranks", str(self.ranks), "--op", ",".join(self.operations), *span, *few)


Variables = tuple[str, str | None]
"""A variable and its value, None to take it away."""
Bench = Callable[[Wanted, Variables | None, Path], None]
"""Measures under a variable and writes a file. Raises TraceanaError."""
Predict = Callable[[Path], float]
"""The replayed step, in ns, with a file's figures. Raises TraceanaError where they say nothing of it."""


def wanted(report: RunReport) -> Wanted | None:
    """The run's calls that a bench can measure; None where there are none."""
    calls = [one for one in report.operations if one.op in SIZED_OPERATIONS and one.message_bytes and one.steady]
    sizes = [one.message_bytes for one in calls if one.message_bytes]
    if not sizes:
        return None
    return Wanted(
        ranks=report.world_size,
        operations=tuple(dict.fromkeys(one.op for one in calls)),
        smallest=min(sizes),
        largest=max(sizes),
    )


def screened(axes: Sequence[Axis], asked: Wanted, folder: Path, bench: Bench, predict: Predict) -> Pruned:
    """The axes without the values that the bench and the replay rule out; what could not be measured stays."""
    try:
        usual_ns = _predicted(asked, None, folder / "asis.json", bench, predict)
    except TraceanaError as error:
        return Pruned(axes=tuple(axes), left_out=(f"nothing by a bench: {error}",))
    kept, left_out = [], []
    for axis in axes:
        choices = []
        for choice in axis.choices:
            reason = _hopeless(axis.name, choice.text, usual_ns, asked, folder, bench, predict)
            if reason is None:
                choices.append(choice)
            else:
                left_out.append(reason)
        kept.append(Axis(name=axis.name, choices=tuple(choices)))
    return Pruned(axes=tuple(kept), left_out=tuple(left_out))


def _hopeless(
    axis: str, text: str, usual_ns: float, asked: Wanted, folder: Path, bench: Bench, predict: Predict
) -> str | None:
    if not axis.startswith(ENVIRONMENT) or text == KEPT:
        return None
    variable = axis.removeprefix(ENVIRONMENT)
    name = f"{variable}-{''.join(letter if letter.isalnum() else '-' for letter in text)}.json"
    try:
        found_ns = _predicted(asked, (variable, None if text == UNSET else text), folder / name, bench, predict)
    except TraceanaError as error:
        return f"{variable}={text}: its bench failed ({error})"
    ratio = found_ns / usual_ns
    if ratio < HOPELESS:
        return None
    return f"{variable}={text}: by a bench and the replayed trace a step takes {units.ratio(ratio)} as long"


def _predicted(asked: Wanted, variable: Variables | None, file: Path, bench: Bench, predict: Predict) -> float:
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(".partial")
        bench(asked, variable, partial)
        partial.replace(file)
    return predict(file)


def real_bench(folder: Path, keep: Sequence[int]) -> Bench:
    """Runs `traceana bench` in this environment, changed; its words are in `folder`."""

    def bench(asked: Wanted, variable: Variables | None, file: Path) -> None:
        log = file.with_suffix(".log")
        words = [sys.executable, "-m", "traceana", "bench", *asked.arguments, "--format", "json", "-o", str(file)]
        scratch = fresh(folder / ".scratch")
        ended = run(words, environment(os.environ, variable), log, scratch, _LONGEST_BENCH_S, keep)
        if ended.failure is not None:
            raise TraceanaError(f"{ended.failure}; {' '.join(last_lines(log)[-1:])}")

    return bench


def replaying(folder: Path) -> Predict:
    """Replays the run in a folder with a bench's figures. Raises TraceanaError where the run cannot be replayed."""
    from traceana.pipeline import read_one
    from traceana.replay import wishes
    from traceana.replay.figures import read_figures
    from traceana.replay.predict import what_if
    from traceana.replay.recorded import recorded

    one, ranks = read_one(folder, 1, lambda _done, _total, _name: None)
    ready = recorded(one, {rank: result.work for rank, result in ranks.items()})
    return lambda file: float(what_if(ready, [wishes.backend(ready, read_figures(str(file)))]).predicted_step_ns)


def environment(base: Mapping[str, str], variable: Variables | None) -> dict[str, str]:
    """With the variable set or taken away."""
    changed = dict(base)
    if variable is not None:
        changed.pop(variable[0], None)
        if variable[1] is not None:
            changed[variable[0]] = variable[1]
    return changed
