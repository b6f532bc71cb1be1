"""Names that count: what is left of them without their number."""

import re

_NUMBERED = re.compile(r"[\s#_:=(\[-]*\d+(?:\s*/\s*\d+)?[\])]?$")


def base_name(name: str) -> str:
    """`denoise_step 3`, `ProfilerStep#3`, `step [3/50]` and `Linear_3` without their number."""
    return _NUMBERED.sub("", name) or name
