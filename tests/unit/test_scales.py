from hypothesis import given
from hypothesis import strategies as st

from traceana import units
from traceana.render.page.scales import linear_scale, log_axis, log_scale, time_axis

positive = st.floats(min_value=1e-3, max_value=1e15)


@given(highest=positive)
def test_a_linear_scale_holds_its_values_in_few_round_steps(highest: float) -> None:
    scale = linear_scale(highest)
    assert 0 < scale.at(highest) <= 100 + 1e-6
    assert len(scale.values()) <= 11


@given(values=st.lists(positive, min_size=1, max_size=20))
def test_a_log_scale_holds_its_values(values: list[float]) -> None:
    for base in (2, 10):
        scale = log_scale(values, base=base)
        assert scale.low <= min(values) * (1 + 1e-6)
        assert scale.high >= max(values) * (1 - 1e-6)
        axis = log_axis(scale, "size", units.tick, base=base, most=5)
        assert 1 <= len(axis.ticks) <= 6
        assert all(-1e-6 <= tick.at <= 100 + 1e-6 for tick in axis.ticks)


def test_empty_and_zero_scales_do_not_divide_by_zero() -> None:
    assert linear_scale(0).at(0) == 0
    assert log_scale([]).at(0) == 0


def test_a_time_axis_names_its_unit() -> None:
    axis = time_axis(linear_scale(163_000_000), "time")
    assert axis.title == "time (ms)"
    assert axis.ticks[1].label == "20"


def test_size_axes_step_by_powers_of_two() -> None:
    axis = log_axis(log_scale([1 << 16, 12 << 20], base=2), "size", units.size, base=2, most=4)
    labels = [tick.label.replace(units.NO_BREAK_SPACE, " ") for tick in axis.ticks]
    assert labels == ["32 KiB", "256 KiB", "2 MiB", "16 MiB"]
