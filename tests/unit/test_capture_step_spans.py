"""Spans of the steps that capture counted."""

from typing import Any

from traceana_capture.launcher.step_spans import add_steps


def span(name: str, begin: float, end: float, tid: int = 7) -> dict[str, Any]:
    return {"ph": "X", "cat": "user_annotation", "name": name, "pid": 3, "tid": tid, "ts": begin, "dur": end - begin}


def steps(*others: dict[str, Any]) -> list[tuple[str, float, float]]:
    """Two steps that were counted at 10, 20 and 30 us."""
    base = 1_790_000_000_000_000_000
    trace: dict[str, Any] = {"baseTimeNanoseconds": base, "traceEvents": list(others)}
    add_steps(trace, [(4, 7, base + 10_000, base + 20_000), (5, 7, base + 20_000, base + 30_000)])
    added = trace["traceEvents"][len(others) :]
    assert all((step["cat"], step["tid"]) == ("user_annotation", 7) for step in added)
    return [(step["name"], step["ts"], step["ts"] + step["dur"]) for step in added]


def test_a_step_lasts_from_count_to_count() -> None:
    assert steps() == [("step 4", 10, 20), ("step 5", 20, 30)]


def test_a_step_ends_where_the_optimizers_span_does() -> None:
    optimizer = [span("Optimizer.step#SGD.step", at - 1, at + 1) for at in (10, 20, 30)]
    assert steps(*optimizer) == [("step 4", 11, 21), ("step 5", 21, 31)]


def test_a_step_ends_where_the_programs_own_iteration_does_and_stays_in_the_epoch() -> None:
    iterations = [span("iteration", at - 8, at + 1.5) for at in (10, 20, 30)]
    inside = [span("Optimizer.step#SGD.step", at - 1, at + 1) for at in (10, 20, 30)]
    assert steps(span("epoch", 0, 100), *iterations, *inside) == [("step 4", 11.5, 21.5), ("step 5", 21.5, 31.5)]


def test_spans_of_other_threads_move_nothing() -> None:
    assert steps(span("loader", 9, 11, tid=8)) == [("step 4", 10, 20), ("step 5", 20, 30)]
