"""The settings that a search may try: none that changes what the program computes, unless it was asked for.

What variables do is from NCCL's user guide, "Environment Variables". The algorithm (NCCL_ALGO, NVLS) sets the order in
which ranks are summed, so it is tried only where it is named; LL128 is never forced, because it corrupts data on
links that do not keep the order of 128-byte stores.
"""

import random
from collections.abc import Mapping, Sequence

import msgspec
from msgspec.structs import replace

from traceana.errors import TraceanaError
from traceana.report import RunReport
from traceana.sweep.cells import Cell
from traceana.sweep.plan import ENVIRONMENT, KEPT, NCCL, UNSET, Axis, Choice, Plan

SAFE: dict[str, tuple[str, ...]] = {
    "NCCL_MIN_CTAS": ("16", "32"),
    "NCCL_MAX_CTAS": ("4", "8", "16"),
    "NCCL_BUFFSIZE": ("1048576", "16777216"),
    "NCCL_NTHREADS": ("256",),
    "NCCL_PROTO": ("Simple",),
    "CUDA_DEVICE_MAX_CONNECTIONS": ("1", "32"),
}
"""Values that may be tried unasked."""
SWITCHES = (
    "NCCL_P2P_DISABLE",
    "NCCL_SHM_DISABLE",
    "NCCL_IB_DISABLE",
    "NCCL_NVLS_ENABLE",
    "NCCL_ALGO",
    "NCCL_P2P_LEVEL",
)
"""Variables that are tried without their value where the environment has one."""
_COLLECTIVES = frozenset({"all_reduce", "all_gather", "reduce_scatter", "broadcast", "reduce"})
GOVERNS: dict[str, frozenset[str]] = {
    "NCCL_ALGO": _COLLECTIVES,
    "NCCL_PROTO": _COLLECTIVES,
    "NCCL_NVLS_ENABLE": frozenset({"all_reduce", "all_gather", "reduce_scatter"}),
}
"""Operations that a variable has a say in, where it is not all of them: sends, and so all-to-all, have no algorithm."""
NCCL_LIBRARIES = ("nccl", "rccl")
SMALLEST_GAIN = 0.01
"""Where less of the time than this is exposed communication, no setting of it can be worth its search."""


class Pruned(msgspec.Struct, frozen=True, kw_only=True):
    """The axes that are left, and in words what was taken out and why."""

    axes: tuple[Axis, ...]
    left_out: tuple[str, ...]


def default_axes(environment: Mapping[str, str]) -> tuple[Axis, ...]:
    """The safe space around the settings of an environment, which come first."""
    variables = dict.fromkeys((*SAFE, *(name for name in SWITCHES if name in environment)))
    return tuple(_variable(name, environment.get(name)) for name in variables)


def checked_axes(axes: Sequence[Axis]) -> tuple[Axis, ...]:
    """Axes of a search, each beginning with what the environment has. Raises TraceanaError for what is not safe."""
    for axis in axes:
        for choice in axis.choices:
            if "LL128" in choice.text.upper() or (axis.name == NCCL and "ll128" in choice.text.split("+")):
                raise TraceanaError(
                    f"--axis {axis.name}={choice.text}: LL128 is never forced: it can corrupt data; leave it out"
                )
    return tuple(_with_kept(axis) for axis in axes)


def by_trace(axes: Sequence[Axis], run: RunReport) -> Pruned:
    """Leave out variables of NCCL that have no say in any call of this run."""
    called = frozenset(one.op for one in run.operations if one.library in NCCL_LIBRARIES)
    kept, left_out = [], []
    for axis in axes:
        variable = axis.name.removeprefix(ENVIRONMENT)
        governed = GOVERNS.get(variable)
        if variable.startswith("NCCL_") and not called:
            left_out.append(f"{variable}: NCCL carries no call of this program")
        elif governed is not None and not governed & called:
            left_out.append(f"{variable}: it has no say in {', '.join(sorted(called))}")
        else:
            kept.append(axis)
    return Pruned(axes=tuple(kept), left_out=tuple(left_out))


def ceiling(run: RunReport) -> float | None:
    """The part of the time that is exposed communication: no setting gains more. None where nothing is known."""
    steps = [step for step in run.steps if step.steady]
    if steps:
        return sum(step.exposed_payload_ns for step in steps) / max(1, sum(step.duration_ns for step in steps))
    spans = sum(rank.span_ns for rank in run.ranks)
    return sum(rank.exposed_payload_ns for rank in run.ranks) / spans if spans else None


def candidates(cells: Sequence[Cell], most: int, seed: int) -> tuple[Cell, ...]:
    """At most so many: the first cell, all that differ from it in one setting, and of the others a random choice."""
    first, *others = cells
    single = [cell for cell in others if _changes(cell, first) == 1]
    rest = [cell for cell in others if _changes(cell, first) > 1]
    chance = random.Random(f"{seed}/candidates")
    kept = single if len(single) < most else chance.sample(single, most - 1)
    more = chance.sample(rest, min(len(rest), max(0, most - 1 - len(kept))))
    wanted = {cell.label for cell in (first, *kept, *more)}
    return tuple(cell for cell in cells if cell.label in wanted)


def with_axes(plan: Plan, axes: Sequence[Axis]) -> Plan:
    """The plan over other axes."""
    return replace(plan, axes=tuple(axes))


def _changes(cell: Cell, first: Cell) -> int:
    return sum(a != b for a, b in zip(cell.settings, first.settings, strict=True))


def _variable(name: str, now: str | None) -> Axis:
    texts = [KEPT, *([UNSET] if now is not None else []), *(value for value in SAFE.get(name, ()) if value != now)]
    return Axis(name=f"{ENVIRONMENT}{name}", choices=tuple(Choice(label=text, text=text) for text in texts))


def _with_kept(axis: Axis) -> Axis:
    """A variable is first of all as it is."""
    if not axis.name.startswith(ENVIRONMENT):
        return axis
    others = tuple(choice for choice in axis.choices if choice.text != KEPT)
    return Axis(name=axis.name, choices=(Choice(label=KEPT, text=KEPT), *others))
