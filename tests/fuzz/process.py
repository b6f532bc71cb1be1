"""One fuzzer: `python -m tests.fuzz.process TARGET [options of libFuzzer]`."""

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["traceana", "traceana_capture"]):
    from tests.fuzz.targets import TARGETS


_MEMORY = Path("/dev/shm")


def main() -> None:
    """Fuzz until libFuzzer ends the process; files of its inputs are kept from the disk where that is possible."""
    if _MEMORY.is_dir():
        tempfile.tempdir = str(_MEMORY)
    target = TARGETS[sys.argv[1]]
    atheris.Setup([sys.argv[0], *sys.argv[2:]], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
