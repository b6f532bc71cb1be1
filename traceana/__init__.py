"""Reads and compares the communication of multi-GPU PyTorch programs.

>>> import traceana
>>> run = traceana.read("tests/traces/h200/torch-2r")
>>> run
<Run torch-2r: 2 of 2 ranks, 144 calls>
>>> int(run.calls["wait_ns"].isna().sum())
0

Only what is used is imported, so `import traceana` costs next to nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from traceana_capture.block import capture

    from traceana.api import Compared, Run, compare, read, read_all

__version__ = "0.1.0"

__all__ = ["Compared", "Run", "capture", "compare", "read", "read_all"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'traceana' has no attribute {name!r}")
    home = "traceana_capture.block" if name == "capture" else "traceana.api"
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
