"""What a sweep is to run: the value that a plan's file, or the flags, come to."""

import re
from collections.abc import Iterable

import msgspec
from traceana_capture.launcher.nccl_settings import PRESETS
from traceana_capture.launcher.options import BACKENDS

from traceana.errors import TraceanaError
from traceana.sweep import expressions

BACKEND, NCCL, ENVIRONMENT = "backend", "nccl", "env."
PLAIN, UNSET, KEPT = "plain", "unset", "asis"
"""No preset; a variable taken away; a variable as it is."""
RUN_NAMES = ("out", "perf_dump")
"""Placeholders that each run fills for itself: its folder for images, and its file for sglang's perf dump."""
PLACEHOLDER = re.compile(r"\{([A-Za-z_]\w*)\}")


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """One value of an axis: its name, and the text that takes the placeholder's place."""

    label: str
    text: str


class Axis(msgspec.Struct, frozen=True, kw_only=True):
    """What is varied: a placeholder in the command, or `backend`, `nccl`, `env.X`, which act by themselves."""

    name: str
    choices: tuple[Choice, ...]

    @property
    def acts(self) -> bool:
        """Whether it needs no placeholder."""
        return self.name in (BACKEND, NCCL) or self.name.startswith(ENVIRONMENT)


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of the time that `choice` of an axis is expected to save over `over`, in the cells of `where`."""

    axis: str
    choice: str
    over: str
    where: str
    low: float
    high: float


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds of a run, seconds of all runs together, and hours of a GPU; None is no limit."""

    run_s: float | None = None
    whole_s: float | None = None
    gpu_hours: float | None = None


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """All that decides what runs. `values` fill placeholders that are no axis; `gpus` is an expression over both."""

    name: str
    command: tuple[str, ...]
    axes: tuple[Axis, ...]
    values: tuple[tuple[str, str], ...] = ()
    constraints: tuple[str, ...] = ()
    gpus: str | None = None
    repeats: int = 3
    metric: str = "wall"
    baseline: tuple[tuple[str, str], ...] = ()
    expected: tuple[Expected, ...] = ()
    limits: Limits = Limits()
    traced: bool = True
    seed: int = 0


def checked(plan: Plan) -> Plan:
    """The plan. Raises TraceanaError where something in it could not act, or could not be what was meant."""
    if not plan.command:
        raise TraceanaError("there is no command to run; give it after --, or as `command` of the plan")
    if not plan.axes:
        raise TraceanaError("there is nothing to vary; give --axis NAME=VALUE,VALUE or a plan with axes")
    used = placeholders(plan.command)
    known = [axis.name for axis in plan.axes] + [name for name, _ in plan.values]
    _check_names(known)
    named = used | _named(plan)
    for axis in plan.axes:
        _check_axis(axis, named)
    for name, _ in plan.baseline:
        if name not in [axis.name for axis in plan.axes]:
            raise TraceanaError(f"--baseline {name}=…: there is no such axis; there are {_listed(plan.axes)}")
    return plan


def placeholders(command: Iterable[str]) -> frozenset[str]:
    """The names in braces."""
    return frozenset(name for word in command for name in PLACEHOLDER.findall(word))


def _named(plan: Plan) -> frozenset[str]:
    found = [expressions.names(text) for text in (*plan.constraints, *([plan.gpus] if plan.gpus else []))]
    return frozenset().union(*found)


def _check_names(known: list[str]) -> None:
    for name in known:
        if known.count(name) > 1:
            raise TraceanaError(f"{name} is given twice; an axis, or a value, has a name of its own")
        if name in RUN_NAMES:
            raise TraceanaError(f"{{{name}}} is each run's own; give the axis or value another name")


def _check_axis(axis: Axis, named: frozenset[str]) -> None:
    labels = [choice.label for choice in axis.choices]
    if not labels or len(set(labels)) < len(labels):
        raise TraceanaError(f"--axis {axis.name}: each value must be there once, and one at least")
    if not axis.acts and axis.name not in named:
        raise TraceanaError(
            f"--axis {axis.name} changes nothing: the command has no {{{axis.name}}}; axes that act by themselves are "
            "backend, nccl and env.VARIABLE"
        )
    if axis.name == BACKEND:
        _check_words(axis, BACKENDS)
    if axis.name == NCCL:
        presets = {name for choice in axis.choices for name in choice.text.split("+")}
        _check_words(Axis(name=NCCL, choices=tuple(Choice(label=one, text=one) for one in presets)), (PLAIN, *PRESETS))


def _check_words(axis: Axis, allowed: Iterable[str]) -> None:
    words = tuple(allowed)
    for choice in axis.choices:
        if choice.text not in words:
            raise TraceanaError(f"--axis {axis.name}={choice.text}: choose from {', '.join(words)}")


def _listed(axes: Iterable[Axis]) -> str:
    return ", ".join(axis.name for axis in axes)
