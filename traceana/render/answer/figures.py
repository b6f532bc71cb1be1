"""What the first screen is made of, for one run as for a comparison."""

from collections.abc import Iterable

import msgspec

from traceana import units
from traceana.report import RunReport


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """A question and its answer in a number; `term` names the definition of `caption` in the glossary.

    `certain` is False where the number is seen and not sure; `command` is what to type next, None where there is none.
    """

    question: str
    value: str
    caption: str
    detail: str
    term: str
    certain: bool = True
    command: str | None = None


class Headline(msgspec.Struct, frozen=True, kw_only=True):
    """The answer, `second` saying what qualifies it."""

    sentence: str
    second: str
    figures: tuple[Figure, ...]


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over ranks; shares of the window are quotients of these. Communication is payload's.

    `control_exposed_ns` is what control traffic on the host was exposed beside it.
    """

    span_ns: int
    comm_ns: int
    overlapped_comm_ns: int
    exposed_comm_ns: int
    control_exposed_ns: int


def window(runs: Iterable[RunReport]) -> Window:
    """All ranks of some runs added up."""
    ranks = [rank for run in runs for rank in run.ranks]
    return Window(
        span_ns=sum(rank.span_ns for rank in ranks),
        comm_ns=sum(rank.comm_ns - rank.control_comm_ns for rank in ranks),
        overlapped_comm_ns=sum(
            rank.overlapped_comm_ns - (rank.control_comm_ns - rank.control_exposed_comm_ns) for rank in ranks
        ),
        exposed_comm_ns=sum(rank.exposed_payload_ns for rank in ranks),
        control_exposed_ns=sum(rank.control_exposed_comm_ns for rank in ranks),
    )


def exposed_share(times: Window) -> str:
    """The share of the window that is exposed communication."""
    return units.percent(times.exposed_comm_ns, times.span_ns)


def left_out(times: Window) -> str:
    """What the exposed share leaves out, empty where that is nothing."""
    if not times.control_exposed_ns:
        return ""
    share = units.percent(times.control_exposed_ns, times.span_ns)
    return f"not counted: {share} in control traffic, calls of at most 16 bytes on the host"
