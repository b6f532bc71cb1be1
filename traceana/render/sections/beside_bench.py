"""Calls beside a bench of the same operation and size: how near the run comes to what the machine can do."""

import msgspec

from traceana.analyze.beside_bench import in_words
from traceana.render.page.marks import RunMark, marked_runs
from traceana.render.page.section import Section
from traceana.report import BenchedCalls, Report, UnbenchedCalls


class BenchedRow(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of call of one run; places in percent of the bar, which ends at the bench's time or the run's."""

    run: RunMark
    data: BenchedCalls
    sentence: str
    bench: float
    contention: float
    waiting: float


class BesideBenchView(msgspec.Struct, frozen=True, kw_only=True):
    """Of all runs: what a bench has, what it has not, and where it is not of the run's machine."""

    benched: tuple[BenchedRow, ...]
    unbenched: tuple[tuple[RunMark, UnbenchedCalls], ...]
    notes: tuple[str, ...]


def beside_bench_view(report: Report) -> BesideBenchView | None:
    """None where no bench was given."""
    runs = [(mark, run.bench) for mark, run in marked_runs(report) if run.bench]
    if not runs:
        return None
    return BesideBenchView(
        benched=tuple(_row(mark, calls) for mark, bench in runs for calls in bench.benched),
        unbenched=tuple((mark, calls) for mark, bench in runs for calls in bench.unbenched),
        notes=tuple(dict.fromkeys(note for _, bench in runs for note in bench.notes)),
    )


def _row(mark: RunMark, calls: BenchedCalls) -> BenchedRow:
    bench = 100 * min(calls.share, 1)
    waiting = 100 * min(max(calls.waiting or 0, 0), 1 - bench / 100)
    return BenchedRow(
        run=mark,
        data=calls,
        sentence=in_words(calls),
        bench=bench,
        contention=100 - bench - waiting,
        waiting=waiting,
    )


SECTION = Section(name="beside_bench", title="Beside the bench", view=beside_bench_view)
