"""Exposed communication as a counter: the share of each stretch of time in which a rank does nothing else."""

import msgspec
import numpy as np
import numpy.typing as npt

from traceana.analyze.intervals import Intervals, covered, merge
from traceana.analyze.overlap import Occupation
from traceana.trace.columns import Ints

_MOST_STEPS = 2_000


class Counter(msgspec.Struct, frozen=True, kw_only=True):
    """Values in percent, each from its time (ns) on until the next one's; the last is 0."""

    at_ns: Ints
    percent: npt.NDArray[np.float64]


def step_ns(span_ns: int) -> int:
    """A round width (1, 2 or 5 times a power of ten) of which `span_ns` has at most 2,000."""
    least = max(span_ns / _MOST_STEPS, 1_000)
    power = 10 ** int(np.floor(np.log10(least)))
    return int(next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least))


def exposed_share(occupation: Occupation, shift_ns: int, step: int) -> Counter:
    """Exposed communication in steps of `step` ns; times are moved by `shift_ns`. Its area is the exposed time."""
    compute = _moved(occupation.compute, shift_ns)
    work = merge(compute, _moved(occupation.communication, shift_ns))
    if not len(work.start):
        return Counter(at_ns=np.zeros(0, dtype=np.int64), percent=np.zeros(0))
    edges = np.arange(work.start[0] // step, work.end[-1] // step + 2, dtype=np.int64) * step
    exposed = covered(edges[:-1], edges[1:], work) - covered(edges[:-1], edges[1:], compute)
    percent = np.append(exposed * (100 / step), 0.0)
    changes = np.flatnonzero(np.diff(percent, prepend=-1.0))
    return Counter(at_ns=edges[changes], percent=percent[changes])


def _moved(intervals: Intervals, shift_ns: int) -> Intervals:
    return Intervals(intervals.start + shift_ns, intervals.end + shift_ns)
