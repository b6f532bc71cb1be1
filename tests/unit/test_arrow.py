import numpy as np
import pyarrow as pa

from traceana.saved.arrow import booleans, integers, texts


def test_columns_are_those_that_pyarrow_makes() -> None:
    values, known = np.array([3, -1, 1 << 60]), np.array([True, False, True])
    assert integers(values).equals(pa.array(values))
    assert integers(values[::-1]).equals(pa.array(values[::-1].copy()))
    assert integers(values, known).equals(pa.array(values, mask=~known))
    assert booleans(known).equals(pa.array(known))


def test_texts_are_taken_by_their_places_and_minus_one_is_none() -> None:
    found = texts(["ünï", None, "b"], np.array([2, 0, -1, 1, 0]))
    assert found.to_pylist() == ["b", "ünï", None, None, "ünï"]
    found.validate(full=True)
    assert texts([], np.array([-1, -1])).to_pylist() == [None, None]
    assert texts([], np.array([], dtype=np.int64)).to_pylist() == []
