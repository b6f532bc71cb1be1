"""Axes: from a value to a place along a chart, in percent, and the round numbers to write beside it.

Places are percentages because the charts are as wide as the page lets them be, while their text keeps its size.
"""

import math
from collections.abc import Callable, Iterable

import msgspec

from traceana import units

SHARP_STEPS = (1, 2, 5, 10)


class Tick(msgspec.Struct, frozen=True, kw_only=True):
    """A labelled place on an axis; `minor` ticks lose their label first where room is short.

    `fine` ones show where the chart is magnified.
    """

    at: float
    label: str
    minor: bool = False
    fine: bool = False


class Axis(msgspec.Struct, frozen=True, kw_only=True):
    """What a template draws of a scale: its ticks and its title, unit included."""

    title: str
    ticks: tuple[Tick, ...]


class LinearScale(msgspec.Struct, frozen=True, kw_only=True):
    """From zero to `high`, in steps of `step`."""

    high: float
    step: float

    def at(self, value: float) -> float:
        """The place of a value, in percent."""
        return 100 * value / self.high

    def values(self) -> list[float]:
        """The values of the ticks."""
        return [index * self.step for index in range(math.floor(self.high / self.step + 1e-9) + 1)]


class LogScale(msgspec.Struct, frozen=True, kw_only=True):
    """From `low` to `high`, both above zero, equal factors equally far apart."""

    low: float
    high: float

    def at(self, value: float) -> float:
        """The place of a value, in percent; values outside sit on the edge."""
        clamped = min(max(value, self.low), self.high)
        return 100 * math.log(clamped / self.low) / math.log(self.high / self.low)


def outline(places: Iterable[tuple[float, float]]) -> str:
    """Points of an SVG polyline, in percent of the chart's width and height."""
    return " ".join(f"{x:.2f},{y:.2f}" for x, y in places)


def linear_scale(highest: float, *, steps: int = 10) -> LinearScale:
    """A scale from zero that holds `highest`, in about so many round steps."""
    highest = highest if highest > 0 else 1
    step = round_step(highest / steps)
    return LinearScale(high=step * math.ceil(highest / step - 1e-9), step=step)


def round_step(least: float) -> float:
    """The smallest of 1, 2 or 5 times a power of ten that is no less than `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return power * next(sharp for sharp in SHARP_STEPS if sharp * power >= least * (1 - 1e-9))


def log_scale(values: Iterable[float], *, base: int = 10) -> LogScale:
    """A scale that holds all the positive values, between round numbers (powers of two where `base` is 2)."""
    positive = [value for value in values if value > 0] or [1]
    low, high = min(positive), max(positive)
    if base == 2:
        return LogScale(low=2.0 ** (math.ceil(math.log2(low)) - 1), high=2.0 ** (math.floor(math.log2(high)) + 1))
    low, high = _round_down(low), _round_up(high)
    return LogScale(low=low, high=high if high > low else low * 10)


def _round_down(value: float) -> float:
    power = 10.0 ** math.floor(math.log10(value))
    return max(sharp * power for sharp in SHARP_STEPS if sharp * power <= value * (1 + 1e-9))


def _round_up(value: float) -> float:
    return round_step(value)


def time_axis(scale: LinearScale, title: str) -> Axis:
    """An axis over nanoseconds from zero, in the unit that suits its end."""
    unit = units.time_unit(scale.high)
    ticks = [Tick(at=scale.at(value), label=units.tick(value / unit.scale)) for value in scale.values()]
    return Axis(title=f"{title} ({unit.name})", ticks=_thinned(ticks))


def log_axis(scale: LogScale, title: str, label: Callable[[float], str], *, base: int = 10, most: int = 7) -> Axis:
    """An axis over a logarithmic scale, with at most about `most` labels."""
    values = _powers_of_two(scale, most) if base == 2 else _decades(scale, most)
    ticks = [Tick(at=scale.at(value), label=label(value)) for value in values]
    return Axis(title=title, ticks=_thinned(ticks))


def _powers_of_two(scale: LogScale, most: int) -> list[float]:
    first, last = round(math.log2(scale.low)), round(math.log2(scale.high))
    stride = max(1, math.ceil((last - first + 1) / most))
    return [2.0**power for power in range(first, last + 1, stride)]


def _decades(scale: LogScale, most: int) -> list[float]:
    """1, 2 and 5 times the powers of ten inside the scale, or fewer of them where they would be too many."""
    first, last = math.floor(math.log10(scale.low)), math.ceil(math.log10(scale.high))
    for sharp_steps in ((1, 2, 5), (1, 3), (1,)):
        values = [sharp * 10.0**power for power in range(first, last + 1) for sharp in sharp_steps]
        inside = [value for value in values if scale.low * (1 - 1e-9) <= value <= scale.high * (1 + 1e-9)]
        if len(inside) <= most:
            return inside
    return inside[:: math.ceil(len(inside) / most)]


def _thinned(ticks: list[Tick]) -> tuple[Tick, ...]:
    """The same ticks, every second one minor when there are more than a narrow screen can hold."""
    if len(ticks) <= 4:
        return tuple(ticks)
    return tuple(Tick(at=tick.at, label=tick.label, minor=index % 2 == 1) for index, tick in enumerate(ticks))
