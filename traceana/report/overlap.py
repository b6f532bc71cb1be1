"""What overlap costs: compute that runs beside communication runs slower."""

import msgspec


class OverlapPrice(msgspec.Struct, frozen=True, kw_only=True):
    """How much longer compute kernels take while communication covers them, over all ranks of a run.

    Kernels of one name, grid and block, five or more that communication covers by 90 % or more, are compared with five
    or more that it covers by 2 % or less. `kernels` are the covered ones, `usual_ns` what their kinds take without
    communication (medians), `extra_ns` by how much longer they took than that, less what chance brings: the mean over
    shufflings of which kernels of a kind count as covered. `low_ns` and `high_ns` hold 95 % of the shufflings around
    it. `p_value` is the share of shufflings that cost as much.
    """

    kernels: int
    usual_ns: int
    extra_ns: int
    low_ns: int
    high_ns: int
    p_value: float
    certain: bool
    """The p-value is 2.5 % at most, and kernels that have the same neighbours too, where there are enough, agree."""
    step_ns: int | None
    """Extra time a steady step, mean over the ranks; None where it is not certain, or without steady steps."""
