import pytest

from traceana import units


def plain(text: str) -> str:
    return text.replace(units.NO_BREAK_SPACE, " ")


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0 ns"),
        (850, "850 ns"),
        (999.6, "1.00 µs"),
        (12_345, "12.3 µs"),
        (1_240_000, "1.24 ms"),
        (999_960, "1.00 ms"),
        (2_050_000_000, "2.05 s"),
        (1_234_000_000_000, "1,234 s"),
        (-1_500, "-1.50 µs"),
        (0.25, "0.25 ns"),
        (None, "–"),
    ],
)
def test_durations_have_three_figures(ns: float | None, text: str) -> None:
    assert plain(units.duration(ns)) == text


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (130, "130 B"),
        (1024, "1 KiB"),
        (4608, "4.5 KiB"),
        (12 << 20, "12 MiB"),
        (1000 << 20, "1,000 MiB"),
        (3 << 40, "3 TiB"),
        (None, "–"),
    ],
)
def test_sizes_are_binary_and_short(size_bytes: float | None, text: str) -> None:
    assert plain(units.size(size_bytes)) == text


@pytest.mark.parametrize(
    ("lower", "upper", "text"),
    [
        (0, 1 << 20, "under 1 MiB"),
        (1 << 20, 10 << 20, "1–10 MiB"),
        (512 << 10, 1 << 20, "512 KiB–1 MiB"),
        (10 << 20, None, "from 10 MiB"),
        (1, 2048, "1 B–2 KiB"),
    ],
)
def test_ranges_name_a_shared_unit_once(lower: int, upper: int | None, text: str) -> None:
    assert plain(units.size_range(lower, upper)) == text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (0, 5, "0 %"),
        (5, 5, "100 %"),
        (1, 100_000, "< 0.1 %"),
        (99_999, 100_000, "> 99.9 %"),
        (1561, 10_000, "15.6 %"),
        (1, 0, "–"),
    ],
)
def test_none_and_all_are_only_said_where_true(part: float, whole: float, text: str) -> None:
    assert plain(units.percent(part, whole)) == text


def test_ratios_bandwidths_and_counts() -> None:
    assert units.ratio(1.2367) == "1.24×"
    assert units.ratio(None) == "–"
    assert units.ratio_range(1.1, 1.3) == "1.10–1.30×"
    assert units.ratio_range(None, 1.3) == "–"
    assert plain(units.bandwidth(123.456)) == "123 GB/s"
    assert plain(units.bandwidth(0.00001)) == "< 0.001 GB/s"
    assert units.count(12345) == "12,345"
    assert units.plural(1, "rank") == "1 rank"
    assert units.plural(2, "rank") == "2 ranks"


def test_neighbouring_numbers_are_drawn_together() -> None:
    assert units.number_ranges([3, 0, 1, 2, 7]) == "0–3, 7"
    assert units.number_ranges([]) == ""


def test_ticks_are_round() -> None:
    assert units.tick(50.0) == "50"
    assert units.tick(0.1 + 0.2) == "0.3"
    assert plain(units.duration_tick(50_000)) == "50 µs"
