"""Columns of a table from numpy, buffer by buffer: `pyarrow.array` imports pandas, which takes longer than writing."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from traceana.trace.columns import Bools, Ints


def integers(values: Ints, known: Bools | None = None) -> pa.Array:
    """An int64 column, null where `known` is False."""
    buffers = [None if known is None else _bits(known), pa.py_buffer(np.ascontiguousarray(values, dtype=np.int64))]
    return pa.Array.from_buffers(pa.int64(), len(values), buffers)


def booleans(values: Bools) -> pa.Array:
    """A column of booleans without nulls."""
    return pa.Array.from_buffers(pa.bool_(), len(values), [None, _bits(values)])


def texts(values: Sequence[str | None], index: Ints) -> pa.Array:
    """The texts that `index` points at; null where one is None, and at -1."""
    encoded = [(value or "").encode("utf-8", "replace") for value in values] + [b""]
    offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    known = np.array([*(value is not None for value in values), False])
    buffers = [_bits(known), pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))]
    found = pa.Array.from_buffers(pa.string(), len(encoded), buffers)
    return found.take(integers(np.where(index < 0, len(values), index)))


def _bits(values: Bools) -> pa.Buffer:
    return pa.py_buffer(np.packbits(values, bitorder="little"))
