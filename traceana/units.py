"""Numbers as text, each with its unit. Every renderer formats here, so one quantity reads the same everywhere."""

from collections.abc import Iterable

import msgspec

UNKNOWN = "–"
NO_BREAK_SPACE = "\u00a0"

TIME_UNITS = ((1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "µs"), (1, "ns"))
SIZE_UNITS = ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B"))


class Unit(msgspec.Struct, frozen=True, kw_only=True):
    """A unit shared by all the numbers of an axis: `scale` base units make one of it."""

    scale: int
    name: str


def duration(ns: float | None) -> str:
    """Nanoseconds to three figures: 1240000 is "1.24 ms"."""
    if ns is None:
        return UNKNOWN
    unit = time_unit(ns)
    return f"{_three_figures(ns / unit.scale)}{NO_BREAK_SPACE}{unit.name}"


def duration_tick(ns: float) -> str:
    """A duration on a logarithmic axis: round, so without zeros at the end."""
    unit = time_unit(ns)
    return f"{_shortest(ns / unit.scale)}{NO_BREAK_SPACE}{unit.name}"


def time_unit(ns: float) -> Unit:
    """The largest unit of which `ns` is at least one, as it will be printed: 999.96 µs is already 1 ms."""
    for scale, name in TIME_UNITS:
        if abs(ns) >= scale * 0.9995:
            return Unit(scale=scale, name=name)
    return Unit(scale=1, name="ns")


def size(size_bytes: float | None) -> str:
    """Bytes in binary units: 12582912 is "12 MiB"."""
    if size_bytes is None:
        return UNKNOWN
    scale, name = next((unit for unit in SIZE_UNITS if size_bytes >= unit[0]), SIZE_UNITS[-1])
    return f"{_shortest(size_bytes / scale)}{NO_BREAK_SPACE}{name}"


def sized(name: str, size_bytes: int | None) -> str:
    """An operation and its message size, where that is known: "all_to_all 12 MiB"."""
    return name if size_bytes is None else f"{name} {size(size_bytes)}"


def over_ranks(group_size: int) -> str:
    """How many ranks take part in a call: "over 4 ranks"."""
    return f"over {plural(group_size, 'rank')}"


def size_range(lower_bytes: int, upper_bytes: int | None) -> str:
    """A bucket's bounds: "1–10 MiB", "under 1 MiB", "from 10 MiB"."""
    if upper_bytes is None:
        return f"from {size(lower_bytes)}"
    if lower_bytes == 0:
        return f"under {size(upper_bytes)}"
    lower, upper = size(lower_bytes), size(upper_bytes)
    number, unit = lower.split(NO_BREAK_SPACE)
    return f"{number}–{upper}" if upper.endswith(f"{NO_BREAK_SPACE}{unit}") else f"{lower}–{upper}"


def bandwidth(gbps: float | None) -> str:
    """Decimal GB/s to three figures."""
    return UNKNOWN if gbps is None else f"{_three_figures(gbps)}{NO_BREAK_SPACE}GB/s"


def percent(part: float, whole: float) -> str:
    """A share; "0 %" and "100 %" only where it is truly none or all, "–" where there is no whole."""
    if not whole:
        return UNKNOWN
    share = 100 * part / whole
    if 0 < share < 0.1:
        text = "< 0.1"
    elif 99.9 < share < 100:
        text = "> 99.9"
    else:
        text = f"{share:.1f}".removesuffix(".0")
    return f"{text}{NO_BREAK_SPACE}%"


def ratio(value: float | None) -> str:
    """A quotient of two times: "1.24×"; "–" where there is none, which 0 says too."""
    return UNKNOWN if not value else f"{_three_figures(value)}×"


def ratio_range(low: float | None, high: float | None) -> str:
    """Two bounds of a quotient: "1.10–1.30×"."""
    if low is None or high is None:
        return UNKNOWN
    return f"{_three_figures(low)}–{_three_figures(high)}×"


def count(number: int) -> str:
    """A count with its thousands set apart: "12,345"."""
    return f"{number:,}"


def plural(number: int, noun: str) -> str:
    """A count and its noun: "1 rank", "12 ranks"."""
    return f"{count(number)} {noun}" if number == 1 else f"{count(number)} {noun}s"


def number_ranges(numbers: Iterable[int]) -> str:
    """Numbers with neighbours drawn together: "0–33, 35"."""
    known = set(numbers)
    starts = sorted(number for number in known if number - 1 not in known)
    ends = sorted(number for number in known if number + 1 not in known)
    pairs = zip(starts, ends, strict=True)
    return ", ".join(str(start) if start == end else f"{start}–{end}" for start, end in pairs)


def tick(value: float) -> str:
    """A number on an axis, whose unit stands in the axis' title."""
    return f"{value:,.10g}" if abs(value) < 1e7 else f"{value:.3g}"


def _three_figures(value: float) -> str:
    """Three significant figures, without an exponent, never fewer digits before the point than there are."""
    if value == 0:
        return "0"
    magnitude = abs(value)
    for decimals, limit in ((0, 99.95), (1, 9.995), (2, 0.9995)):
        if magnitude >= limit:
            return f"{value:,.{decimals}f}"
    return f"{value:.3g}" if magnitude >= 0.001 else "< 0.001"


def _shortest(value: float) -> str:
    """Three figures without zeros at the end: a size is mostly a round number."""
    text = _three_figures(value)
    return text.rstrip("0").rstrip(".") if "." in text else text
