"""One fuzzer: `python -m tests.fuzz.process TARGET [options of libFuzzer]`."""

import sys

import atheris

with atheris.instrument_imports(include=["traceana", "traceana_capture"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    """Fuzz until libFuzzer ends the process."""
    target = TARGETS[sys.argv[1]]
    atheris.Setup([sys.argv[0], *sys.argv[2:]], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
