"""A plan from a YAML file, or a built-in one, and the flags that change it."""

import re
import shlex
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

import msgspec
from msgspec.structs import replace

from traceana.errors import TraceanaError
from traceana.sweep.plan import Axis, Choice, Expected, Limits, Plan, checked

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_SUFFIX = ".yaml"


class _Expected(msgspec.Struct, forbid_unknown_fields=True):
    axis: str
    choice: str
    over: str
    low: float
    high: float
    where: str = "1"


class _Limits(msgspec.Struct, forbid_unknown_fields=True):
    run: str = ""
    time: str = ""
    gpu_hours: float | None = None


class _File(msgspec.Struct, forbid_unknown_fields=True):
    axes: dict[str, list[str] | dict[str, str]] = {}
    command: str | list[str] = ""
    name: str = ""
    values: dict[str, str] = {}
    constraints: list[str] = []
    gpus: str | None = None
    repeats: int = 3
    metric: str = "wall"
    baseline: dict[str, str] = {}
    expected: list[_Expected] = []
    limits: _Limits = msgspec.field(default_factory=_Limits)
    traces: bool = True
    seed: int = 0


class Flags(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line says; None and empty leave the plan as it is, and axes and values replace its own."""

    command: tuple[str, ...] = ()
    axes: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    gpus: str | None = None
    repeats: int | None = None
    metric: str | None = None
    baseline: str = ""
    run_limit: str = ""
    time_limit: str = ""
    gpu_hours: float | None = None
    traced: bool | None = None
    seed: int | None = None


def built_in() -> tuple[str, ...]:
    """Names of the plans that come with traceana."""
    files = resources.files("traceana.sweep") / "plans"
    return tuple(sorted(file.name.removesuffix(_SUFFIX) for file in files.iterdir() if file.name.endswith(_SUFFIX)))


def text_of(name: str) -> str:
    """The YAML of a built-in plan, or of a file. Raises TraceanaError where there is neither."""
    if name in built_in():
        return (resources.files("traceana.sweep") / "plans" / f"{name}{_SUFFIX}").read_text(encoding="utf-8")
    try:
        return Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TraceanaError(
            f"{name}: no plan can be read there ({error}); name a YAML file, or one of {', '.join(built_in())}"
        ) from error


def plan_of(name: str | None, flags: Flags) -> Plan:
    """The plan to run. Raises TraceanaError for what is no plan."""
    return checked(unchecked_plan_of(name, flags))


def unchecked_plan_of(name: str | None, flags: Flags, title: str = "sweep") -> Plan:
    """The plan as it was given, which may lack its axes yet. Raises TraceanaError for what cannot be read."""
    return changed(Plan(name=title, command=(), axes=()) if name is None else parse(text_of(name), name), flags)


def parse(text: str, name: str) -> Plan:
    """A plan's YAML, every value of which is a text until it is known what it should be. Raises TraceanaError."""
    import yaml

    try:
        file = msgspec.convert(yaml.load(text, Loader=yaml.BaseLoader), type=_File, strict=False)
    except (yaml.YAMLError, msgspec.ValidationError, RecursionError) as error:
        raise TraceanaError(f"{name}: no plan of a sweep: {error}; see docs/sweep.md") from error
    return Plan(
        name=file.name or Path(name).stem,
        command=_words(file.command),
        axes=tuple(Axis(name=axis, choices=_choices(values)) for axis, values in file.axes.items()),
        values=tuple(file.values.items()),
        constraints=tuple(file.constraints),
        gpus=file.gpus,
        repeats=file.repeats,
        metric=file.metric,
        baseline=tuple(file.baseline.items()),
        expected=tuple(
            Expected(axis=one.axis, choice=one.choice, over=one.over, where=one.where, low=one.low, high=one.high)
            for one in file.expected
        ),
        limits=Limits(
            run_s=seconds(file.limits.run), whole_s=seconds(file.limits.time), gpu_hours=file.limits.gpu_hours
        ),
        traced=file.traces,
        seed=file.seed,
    )


def changed(plan: Plan, flags: Flags) -> Plan:
    """The plan as the flags want it; words after -- come behind the plan's own command."""
    axes = {axis.name: axis for axis in (*plan.axes, *(_axis(text) for text in flags.axes))}
    limits = plan.limits
    values = {**dict(plan.values), **dict(_pair("--set", text) for text in flags.values)}
    return replace(
        plan,
        command=(*plan.command, *flags.command),
        axes=tuple(axes.values()),
        values=tuple((name, value) for name, value in values.items() if name not in axes),
        constraints=(*plan.constraints, *flags.constraints),
        gpus=flags.gpus or plan.gpus or ("gpus" if "gpus" in axes else None),
        repeats=plan.repeats if flags.repeats is None else flags.repeats,
        metric=flags.metric or plan.metric,
        baseline=tuple(_pair("--baseline", one) for one in flags.baseline.split(",") if one) or _left(plan, axes),
        limits=Limits(
            run_s=seconds(flags.run_limit) or limits.run_s,
            whole_s=seconds(flags.time_limit) or limits.whole_s,
            gpu_hours=flags.gpu_hours or limits.gpu_hours,
        ),
        traced=plan.traced if flags.traced is None else flags.traced,
        seed=plan.seed if flags.seed is None else flags.seed,
    )


def _left(plan: Plan, axes: Mapping[str, Axis]) -> tuple[tuple[str, str], ...]:
    """Of the plan's baseline what flags have not taken out of its axes."""
    labels = {name: [choice.label for choice in axis.choices] for name, axis in axes.items()}
    replaced = [name for name, _ in plan.baseline if axes.get(name) not in plan.axes]
    return tuple((name, value) for name, value in plan.baseline if name not in replaced or value in labels[name])


def seconds(text: str) -> float | None:
    """ "90", "90s", "30m", "2h" or "1d" in seconds, None for nothing. Raises TraceanaError for anything else."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", text.strip())
    if not text.strip():
        return None
    if not found or not float(found[1]):
        raise TraceanaError(f"{text!r} is no time; write for example 90s, 30m or 2h")
    return float(found[1]) * _UNITS[found[2]]


def _words(command: str | list[str]) -> tuple[str, ...]:
    if isinstance(command, list):
        return tuple(command)
    try:
        return tuple(shlex.split(command))
    except ValueError as error:
        raise TraceanaError(f"command {command!r}: {error}; quote it as in a shell") from None


def _choices(values: list[str] | dict[str, str]) -> tuple[Choice, ...]:
    pairs = values.items() if isinstance(values, dict) else ((value, value) for value in values)
    return tuple(Choice(label=label, text=text) for label, text in pairs)


def _axis(text: str) -> Axis:
    name, values = _pair("--axis", text)
    return Axis(name=name, choices=_choices(values.split(",")))


def _pair(option: str, text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not re.fullmatch(r"(env\.)?[A-Za-z_]\w*", name.strip()):
        raise TraceanaError(f"{option} {text!r} must be NAME=VALUE")
    return name.strip(), value
