"""Synthetic runs of many ranks with a planted truth: who waits for whom, how long a transfer takes, whose clock is off.

A `Run` says what happens. `write_run` plays it on one true clock, writes what each rank's profiler would have seen on
that rank's own clock, and returns the `Truth`. The same `Run` always gives the same bytes.
"""

from tests.synthetic.spec import Call, Run
from tests.synthetic.truth import Truth
from tests.synthetic.write import write_run

__all__ = ["Call", "Run", "Truth", "write_run"]
