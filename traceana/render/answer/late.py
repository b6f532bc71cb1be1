"""The rank of a side that was late, by how much a step, and what it did meanwhile, in words."""

import re
from collections.abc import Callable, Sequence

import msgspec

from traceana import units
from traceana.render.answer.figures import Figure
from traceana.render.page.marks import shorten
from traceana.render.page.waiting import is_certain
from traceana.report import LateBy, Lateness, RunReport, Straggler

LATE_BY: tuple[tuple[str, Callable[[LateBy], int]], ...] = (
    ("it computes longer", lambda by: by.compute_ns),
    ("its copies take longer", lambda by: by.memory_ns),
    ("its host is behind", lambda by: by.host_behind_ns),
    ("another call holds it", lambda by: by.held_ns),
    ("it waits for an event or a copy", lambda by: by.waiting_ns),
    ("its recording began later", lambda by: by.window_late_ns),
    ("not explained", lambda by: by.unexplained_ns),
)

_LONGEST = 60


class Late(msgspec.Struct, frozen=True, kw_only=True):
    """A rank that its peers wait for: by `ns` a step it comes later than they, or they wait so long `together`.

    `per` is "run" where no steps are known. `cause` is the largest in words, with where the host was or which kernel
    took longer; empty where it is not known.
    """

    side: str
    rank: int
    ns: float
    together: bool
    per: str
    cause: str

    @property
    def in_words(self) -> str:
        """ "30.0 ms a step later than its peers"."""
        how = "that its peers wait together" if self.together else "later than its peers"
        return f"{units.duration(self.ns)} a {self.per} {how}"


def late_rank(run: RunReport) -> Straggler | None:
    """The rank that cost its peers most, where the clocks are good enough to tell.

    Where waits are followed on, what counts is what began with it.
    """
    told = [
        one
        for one in run.stragglers
        if one.steady_wait_caused_ns and is_certain(one.steady_wait_caused_ns / one.steady_times_last, run.clock)
    ]
    rooted = {one.rank: one.steady.rooted_ns for one in run.late if one.steady}
    return max(told, key=lambda one: rooted.get(one.rank, 0) if rooted else one.steady_wait_caused_ns, default=None)


def late_of(runs: Sequence[RunReport]) -> Late | None:
    """The rank that is late in most of a side's runs, and of these the one that costs most; None without one."""
    found = [(late, run) for run in runs if (late := late_rank(run))]
    if not found:
        return None
    ranks = [late.rank for late, _ in found]
    rank = max(
        ranks, key=lambda one: (ranks.count(one), sum(x.steady_wait_caused_ns for x, _ in found if x.rank == one))
    )
    of_rank = [(late.steady_wait_caused_ns, run) for late, run in found if late.rank == rank]
    told = [(_lateness(run, rank), run) for _, run in of_rank]
    known = [(lateness, run) for lateness, run in told if lateness]
    together = len(known) < len(told)
    times = of_rank if together else [(lateness.late_ns, run) for lateness, run in known]
    steps = [sum(step.steady for step in run.steps) for _, run in times]
    whole = sum(ns for ns, _ in times)
    return Late(
        side=runs[0].side,
        rank=rank,
        ns=whole / sum(steps) if all(steps) else whole / len(times),
        together=together,
        per="step" if all(steps) else "run",
        cause=_cause(known[0][0]) if known else "",
    )


def _lateness(run: RunReport, rank: int) -> Lateness | None:
    return next((one.steady for one in run.late if one.rank == rank), None)


def _cause(lateness: Lateness) -> str:
    name, ns = max(((name, ns(lateness.rooted_by)) for name, ns in LATE_BY), key=lambda part: part[1])
    if not ns:
        return ""
    if name == "its host is behind" and lateness.host and lateness.host[0].kind not in ("nothing", "rest"):
        return f"{name}, in {shorten(lateness.host[0].name, _LONGEST)}"
    if name == "it computes longer" and lateness.kernels:
        return f"{name}, in {kernel_name(lateness.kernels[0].name)}"
    return name


def kernel_name(name: str) -> str:
    """A kernel's own name, without namespaces, template arguments and parameters."""
    bare = name.replace("(anonymous namespace)::", "").removeprefix("void ")
    own, *rest = re.split(r"[<(,>]", bare)
    # CUTLASS calls every kernel so: its first argument tells them apart.
    told = rest[0] if rest and own in ("cutlass::Kernel", "cutlass::Kernel2") else own
    return shorten(told.rpartition("::")[2].strip() or name, _LONGEST)


def late_unknown(runs: Sequence[RunReport]) -> Figure:
    """Where no rank is known to be late: because none is, or because nothing tells."""
    if not all(run.coverage.matched for run in runs):
        caption, detail, term = (
            "calls are not matched across ranks",
            "so waiting cannot be told from transfer",
            "matched",
        )
    elif not any(wait.steady_calls for run in runs for wait in run.waits):
        caption, detail, term = "every matched call is warm-up", "", "warmup"
    else:
        return Figure(
            question="Late",
            value="no rank",
            caption="is late by more than the clocks leave open",
            detail="",
            term="residual",
        )
    return Figure(question="Late", value="Not known", caption=caption, detail=detail, term=term, certain=False)
