"""The changes that can be asked for. Each raises TraceanaError where the run has nothing that it could change."""

from collections.abc import Mapping
from functools import partial

import numpy as np

from traceana import units
from traceana.errors import TraceanaError
from traceana.replay.changes import (
    at_best_quartile,
    meets,
    overlapped,
    transfer_ns,
    with_transfers,
    without_launch_gaps,
)
from traceana.replay.figures import Figures
from traceana.replay.predict import Change
from traceana.replay.recorded import Recorded
from traceana.replay.stragglers import without_straggler
from traceana.report import Straggler
from traceana.trace.columns import Bools, Ints


def no_straggler(stragglers: tuple[Straggler, ...]) -> Change:
    """The rank for which its peers waited longest takes as long as they do."""
    late = max(stragglers, key=lambda one: one.steady_wait_caused_ns, default=None)
    if late is None or not late.steady_wait_caused_ns:
        raise TraceanaError("--no-straggler: no rank of this run was waited for")
    return Change(words=f"rank {late.rank} as quick as its peers", apply=partial(without_straggler, late=late.rank))


def no_launch_gaps() -> Change:
    """Launches come at once, as in a CUDA graph."""
    return Change(words="launches without gaps", apply=without_launch_gaps)


def transfers(run: Recorded, factors: Mapping[str, float]) -> Change:
    """Transfers of some operations take a share of their time."""
    factor = np.ones(len(run.graph.activities))
    notes = []
    for op, share in factors.items():
        chosen = of_operation(run, op, "--transfer")
        factor[chosen] = share
        notes += _not_met(run, chosen, op)
    words = ", ".join(f"{op} at {units.ratio(share)} of its time" for op, share in factors.items())
    return Change(words=words, apply=partial(with_transfers, factor=factor), notes=tuple(notes))


def best_quartile(run: Recorded) -> Change:
    """No transfer is slower than the quickest quarter of its kind."""
    return Change(
        words="every transfer as quick as the quickest quarter of its kind",
        apply=partial(at_best_quartile, calls=run.calls),
    )


def overlap(run: Recorded, op: str) -> Change:
    """An operation runs beside compute, until the rank's next communication."""
    chosen = of_operation(run, op, "--overlap")
    return Change(words=f"{op} beside compute", apply=partial(overlapped, chosen=chosen))


def backend(run: Recorded, figures: Figures) -> Change:
    """Transfers take what a bench measured for their operation and size."""
    own, call = transfer_ns(run.graph), run.graph.activities.call
    factors = np.ones((3, len(own)))
    notes = []
    signature = np.where(own > 0, run.calls.signature[call], -1)
    for code in np.unique(signature[signature >= 0]).tolist():
        kind, rows = run.calls.signatures[code], np.flatnonzero(signature == code)
        found = figures.at(kind.op, kind.message_bytes, kind.group_size)
        if isinstance(found, str):
            notes.append(f"{units.sized(kind.op, kind.message_bytes)} keeps its time: {found}")
        else:
            factors[:, rows] = np.array(found)[:, None] / own[rows]
    if (factors == 1).all():
        raise TraceanaError(f"{figures.path}: says nothing of this run's transfers: {'; '.join(notes)}")
    middle, least, most = factors
    return Change(
        words=f"transfers as {figures.backend} in {figures.path.name}",
        apply=partial(with_transfers, factor=middle),
        notes=tuple(notes),
        bounds=(partial(with_transfers, factor=least), partial(with_transfers, factor=most)),
    )


def of_operation(run: Recorded, op: str, option: str) -> Bools:
    """The activities of one operation. Raises TraceanaError with the run's operations where it has none of it."""
    names = np.array([signature.op for signature in run.calls.signatures])
    call = run.graph.activities.call
    found: Bools = np.zeros(len(call), dtype=np.bool_)
    known = call >= 0
    found[known] = (names == op)[run.calls.signature[call[known]]]
    if not (found & run.in_steady_steps()).any():
        ops = ", ".join(sorted(set(names.tolist()))) or "none"
        raise TraceanaError(f"{option} {op}: this run's steps have no such operation; the run's are {ops}")
    return found


def _not_met(run: Recorded, chosen: Bools, op: str) -> list[str]:
    inside = chosen & run.in_steady_steps()
    alone = int((inside & ~meets(run.graph)).sum())
    return [f"{alone} of {int(inside.sum())} {op} kernels are not matched and keep their time"] if alone else []


def exposed_by_operation(run: Recorded, exposed_ns: Ints) -> dict[str, float]:
    """By operation what its calls in steady steps expose; `exposed_ns` is for each of the run's calls."""
    steady = np.flatnonzero(run.steady)
    rows = np.isin(run.calls.step, steady)
    names = [signature.op for signature in run.calls.signatures]
    sums = np.bincount(run.calls.signature[rows], exposed_ns[rows].astype(np.float64), len(names))
    found: dict[str, float] = {}
    for name, ns in zip(names, sums.tolist(), strict=True):
        found[name] = found.get(name, 0.0) + ns
    return found
