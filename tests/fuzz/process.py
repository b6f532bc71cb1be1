"""One fuzzer: `python -m tests.fuzz.process TARGET [options of libFuzzer]`."""

import operator
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import atheris
import numpy as np
from atheris.version_dependent import CMP_OP_SHIFT_AMOUNT

with atheris.instrument_imports(include=["traceana", "traceana_capture"]):
    from tests.fuzz.targets import TARGETS


_MEMORY = Path("/dev/shm")
_OPERATORS = (operator.lt, operator.le, operator.eq, operator.ne, operator.gt, operator.ge)


def main() -> None:
    """Fuzz until libFuzzer ends the process; files of its inputs are kept from the disk where that is possible."""
    if _MEMORY.is_dir():
        tempfile.tempdir = str(_MEMORY)
    atheris.Setup([sys.argv[0], *sys.argv[2:]], _freeing(TARGETS[sys.argv[1]]))
    atheris.Fuzz()


def _freeing(target: Callable[[bytes], None]) -> Callable[[bytes], None]:
    """The target, whose comparisons of arrays atheris leaves alone: it never frees their results, 17 KB an input."""
    traced: Any = None

    def compared(left: Any, right: Any, kind: int, *rest: Any) -> Any:
        if type(left) is np.ndarray or type(right) is np.ndarray:
            return _OPERATORS[kind >> CMP_OP_SHIFT_AMOUNT](left, right)
        return traced(left, right, kind, *rest)

    def freeing(data: bytes) -> None:
        nonlocal traced
        # Atheris sets its own only once the first input is due.
        if traced is None:
            traced, atheris._trace_cmp = atheris._trace_cmp, compared
        target(data)

    return freeing


if __name__ == "__main__":
    main()
