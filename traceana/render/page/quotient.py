"""A speed-up beside two times: readers divide them."""

ROUNDING = 0.01
"""Two numbers of three figures each leave their quotient that much room."""


def definition(speedup: float, baseline_ns: float, candidate_ns: float) -> str:
    """What the speed-up is a quotient of, where it is not that of the two times beside it; else nothing."""
    if not (speedup and baseline_ns and candidate_ns) or abs(speedup * candidate_ns / baseline_ns - 1) <= ROUNDING:
        return ""
    return "of typical times, not of these medians"
