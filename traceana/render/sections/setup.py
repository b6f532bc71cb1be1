"""How the runs were made, side by side: what differs first, what is equal everywhere folded."""

import shlex
from collections.abc import Callable, Iterable

import msgspec

from traceana import units
from traceana.render.answer.figures import window
from traceana.render.page.host import on_host
from traceana.render.page.marks import RunMark, runs_by_side, shorten
from traceana.render.page.section import Section
from traceana.report import Report, RunReport, Setup

LONGEST = 2000
"""Characters of a value that are shown: a command can carry a whole prompt."""

Pairs = tuple[tuple[str, str], ...]

WORDS = {
    "delay_s": "opens after (s)",
    "duration_s": "longest (s)",
    "warmup": "steps before it",
    "steps": "steps in it",
    "start_on": "opens on",
    "step_on": "a step is",
}
"""Names in run.json that would not explain themselves."""


class SetupRow(msgspec.Struct, frozen=True, kw_only=True):
    """One fact on every side. `flagged` where known values differ that most fair comparisons have in common."""

    name: str
    values: tuple[str, ...]
    flagged: bool

    @property
    def equal(self) -> bool:
        """Whether every side has the same value."""
        return len(set(self.values)) == 1

    @property
    def words(self) -> tuple[tuple[tuple[str, bool], ...], ...]:
        """Each value's words, and whether a word is not in every value; where it is flagged and has some in common."""
        split = [shorten(value, LONGEST).split() for value in self.values]
        common = set.intersection(*map(set, split))
        marking = self.flagged and bool(common)
        return tuple(tuple((word, marking and word not in common) for word in words) for words in split)


class SetupTable(msgspec.Struct, frozen=True, kw_only=True):
    """A column a side; `equal` rows are those with one value everywhere, where there is more than one side."""

    sides: tuple[RunMark, ...]
    rows: tuple[SetupRow, ...]
    equal: tuple[SetupRow, ...]
    without_record: tuple[str, ...]
    """Labels of runs that have no run.json."""


class _Fact(msgspec.Struct, frozen=True, kw_only=True):
    """A named value of a run; `free` facts are what comparisons are made for, or mean nothing."""

    name: str
    value: Callable[[RunReport], str]
    free: bool = False


def setup_table(report: Report) -> SetupTable:
    """Backend, command, hardware, versions, NCCL's settings and choices, environment and window."""
    sides = runs_by_side(report)
    rows = [_row(fact, list(sides.values())) for fact in _facts(report.runs)]
    known = [row for row in rows if any(value != units.UNKNOWN for value in row.values)]
    several = len(sides) > 1
    return SetupTable(
        sides=tuple(sides),
        rows=tuple(row for row in known if not (several and row.equal)),
        equal=tuple(row for row in known if several and row.equal),
        without_record=tuple(run.label for run in report.runs if run.setup is None),
    )


def _row(fact: _Fact, sides: list[list[RunReport]]) -> SetupRow:
    values = tuple(_of_side(fact, runs) for runs in sides)
    known = set(values) - {units.UNKNOWN}
    return SetupRow(name=fact.name, values=values, flagged=not fact.free and len(known) > 1)


def _of_side(fact: _Fact, runs: list[RunReport]) -> str:
    """One value, or each repeat's where they differ."""
    values = [fact.value(run) for run in runs]
    if len(set(values)) == 1:
        return values[0]
    return "; ".join(f"{run.label}: {value}" for run, value in zip(runs, values, strict=True))


def _facts(runs: tuple[RunReport, ...]) -> list[_Fact]:
    return [
        _Fact(name="backend in the traces", value=_backends, free=True),
        _Fact(name="backend asked for", value=_asked, free=True),
        _Fact(name="command", value=_of_setup(lambda setup: shlex.join(setup.argv))),
        _Fact(name="ranks", value=_ranks),
        _Fact(name="GPU", value=lambda run: ", ".join(run.gpus) or units.UNKNOWN),
        _Fact(name="host", value=_hosts),
        *_named(runs, lambda run: run.versions, "{} version"),
        _Fact(name="NCCL presets", value=_of_setup(lambda setup: ", ".join(setup.nccl_presets)), free=True),
        *_named(runs, _pairs(lambda setup: setup.nccl_set), "{} (set)", free=True),
        *_nccl_facts(runs),
        *_named(runs, _inherited, "{}"),
        *_named(runs, _pairs(lambda setup: setup.window), "window: {}"),
        _Fact(name="window recorded", value=_window, free=True),
        _Fact(name="calls", value=lambda run: units.count(run.coverage.collectives)),
        _Fact(name="exit code", value=_of_setup(lambda setup: "" if setup.exit_code is None else str(setup.exit_code))),
        _Fact(name="started", value=_of_setup(lambda setup: setup.started or ""), free=True),
        _Fact(name="folder", value=lambda run: run.path, free=True),
    ]


def _of_setup(value: Callable[[Setup], str]) -> Callable[[RunReport], str]:
    return lambda run: (value(run.setup) if run.setup else "") or units.UNKNOWN


def _pairs(pairs: Callable[[Setup], Pairs]) -> Callable[[RunReport], Pairs]:
    return lambda run: pairs(run.setup) if run.setup else ()


def _inherited(run: RunReport) -> Pairs:
    """The environment without what capture itself set for NCCL."""
    return tuple(pair for pair in run.setup.environment if pair not in run.setup.nccl_set) if run.setup else ()


def _named(
    runs: Iterable[RunReport], pairs: Callable[[RunReport], Pairs], title: str, free: bool = False
) -> list[_Fact]:
    """A fact for every name that any run has in its pairs."""
    names = dict.fromkeys(name for run in runs for name, _ in pairs(run))

    def lookup(name: str) -> Callable[[RunReport], str]:
        return lambda run: dict(pairs(run)).get(name, units.UNKNOWN)

    return [_Fact(name=title.format(WORDS.get(name, name)), value=lookup(name), free=free) for name in names]


def _nccl_facts(runs: Iterable[RunReport]) -> list[_Fact]:
    """What NCCL's log says: one value where all ranks agree."""
    logs = [log for run in runs if run.setup for log in run.setup.nccl_logs]
    names = dict.fromkeys(name for log in logs for name, _ in log.facts)

    def lookup(name: str) -> Callable[[RunReport], str]:
        return lambda run: _agreed(run, name)

    return [_Fact(name=f"NCCL's log: {name}", value=lookup(name), free=True) for name in names]


def _agreed(run: RunReport, name: str) -> str:
    ranks: dict[str, list[int]] = {}
    for log in run.setup.nccl_logs if run.setup else ():
        ranks.setdefault(dict(log.facts).get(name, units.UNKNOWN), []).append(log.rank)
    if len(ranks) < 2:
        return next(iter(ranks), units.UNKNOWN)
    return "; ".join(f"rank {units.number_ranges(which)}: {value}" for value, which in ranks.items())


def _asked(run: RunReport) -> str:
    if run.setup is None or not run.setup.backend_asked:
        return units.UNKNOWN
    adapter = f", by the adapter of {run.setup.backend_adapter}" if run.setup.backend_adapter else ""
    return f"{run.setup.backend_asked}{adapter}"


def _backends(run: RunReport) -> str:
    others = [backend for backend in run.backends_seen if backend != run.backend]
    return f"{run.backend} (also {', '.join(others)})" if others else run.backend


def _hosts(run: RunReport) -> str:
    """One name, or of several hosts each one's ranks."""
    ranks: dict[str, list[int]] = {}
    for rank in run.ranks:
        ranks.setdefault(rank.host or units.UNKNOWN, []).append(rank.rank)
    if len(ranks) < 2:
        return next(iter(ranks), units.UNKNOWN)
    return "; ".join(f"{host}: {_numbered(of)}" for host, of in ranks.items())


def _numbered(ranks: list[int]) -> str:
    return f"{'rank' if len(ranks) == 1 else 'ranks'} {units.number_ranges(ranks)}"


def _ranks(run: RunReport) -> str:
    if not run.missing_ranks:
        return units.count(run.world_size)
    return f"{len(run.ranks)} of {run.world_size}"


def _window(run: RunReport) -> str:
    kind = "on the host, no GPU activity" if on_host(run) else "a rank"
    return f"{units.duration(window([run]).span_ns / max(1, len(run.ranks)))} {kind}"


SECTION = Section(name="setup", title="How it ran", view=setup_table)
