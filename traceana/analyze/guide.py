"""What the guide to sglang's communication says of message sizes: the buckets, and what PyNccl saves in each."""

import msgspec

from traceana import units


class Expectation(msgspec.Struct, frozen=True, kw_only=True):
    """Messages below `edge` bytes (None: all larger ones), and the parts of the time that PyNccl saves of them."""

    edge: int | None
    least: float
    most: float


GUIDE = (
    Expectation(edge=1 << 20, least=0.0, most=0.10),
    Expectation(edge=10 << 20, least=0.10, most=0.30),
    Expectation(edge=None, least=0.30, most=0.50),
)
EDGES = tuple(row.edge for row in GUIDE if row.edge is not None)
"""Of the buckets, in bytes, ascending."""


def expected_speedup(message_bytes: int | None) -> tuple[float | None, float | None]:
    """Least and most: a reduction of time by r is a speed-up of 1 / (1 − r). None where the size is not known."""
    if message_bytes is None:
        return None, None
    row = next(row for row in GUIDE if row.edge is None or message_bytes < row.edge)
    return 1 / (1 - row.least), 1 / (1 - row.most)


def in_words() -> str:
    """The whole table: "up to 10 % under 1 MiB, 10 to 30 % up to 10 MiB, 30 to 50 % above"."""
    return ", ".join(f"{_share(row)} {_sizes(row)}" for row in GUIDE)


def _share(row: Expectation) -> str:
    return f"{100 * row.least:g} to {100 * row.most:g} %" if row.least else f"up to {100 * row.most:g} %"


def _sizes(row: Expectation) -> str:
    if row.edge is None:
        return "above"
    return f"{'under' if row is GUIDE[0] else 'up to'} {units.size(row.edge)}"
