"""The demo's two sides: the same workload with something planted, so that the answer is known beforehand."""

import sys
from pathlib import Path

import msgspec
from traceana_capture.launcher import repeats
from traceana_capture.launcher.nccl_settings import PRESETS
from traceana_capture.launcher.options import Options

from traceana.doctor import program
from traceana.errors import TraceanaError

REPEATS = 3
_WORKLOAD = "traceana.demo.workload"
_PRESET = "no-p2p"


class Demo(msgspec.Struct, frozen=True, kw_only=True):
    """What is captured: two sides, and in words what was planted in them."""

    sides: tuple[repeats.Side, repeats.Side]
    planted: str


def demo() -> Demo:
    """On two GPUs NCCL without its direct transport against NCCL as it is, else gloo with messages of two sizes.

    The GPUs are those that this Python's torch sees. Raises TraceanaError where it tells nothing.
    """
    if program.asked(sys.executable).gpus >= 2:
        return Demo(
            sides=(_side("nccl", _GPU), _side("nccl-no-p2p", _GPU, _PRESET)),
            planted="the second side has no direct transport between GPUs, and rank 1 comes late to every step",
        )
    return Demo(
        sides=(_side("gloo", _CPU), _side("gloo-small", (*_CPU, "--message-bytes", str(64 << 10)))),
        planted="the second side's messages are one in 128 as large, and rank 1 comes late to every step",
    )


_CPU = ("--device", "cpu")
_GPU = ("--device", "cuda", "--width", "2048", "--message-bytes", str(16 << 20))


def _side(label: str, arguments: tuple[str, ...], *presets: str) -> repeats.Side:
    variables = {name: value for preset in presets for name, value in PRESETS[preset].variables.items()}
    argv = (sys.executable, "-m", _WORKLOAD, *arguments)
    return repeats.Side(label=label, options=Options(argv=argv, nccl=variables, presets=presets))


def capture(found: Demo, folder: Path) -> None:
    """Capture every side REPEATS times, in turn. Raises TraceanaError where a run fails."""
    code = repeats.capture(found.sides, folder, REPEATS, force=True)
    if code:
        raise TraceanaError(f"{folder}: a run of the demo ended with {code}; `traceana doctor` says what is missing")
