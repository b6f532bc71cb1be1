"""What to type to record what is missing: a second side, or as many runs as settle a difference."""

import shlex
from collections.abc import Sequence

from traceana_capture.agent.choices import CHOICES

from traceana.comparing.repeats import FEWEST_REPEATS
from traceana.render.page.host import on_host
from traceana.report import RunReport, Setup

FOLDER = "more-traces"
"""Of its own: capture does not write over earlier runs."""
YOUR_COMMAND = "YOUR COMMAND"
_BACKENDS = {choice.title: name for name, choice in CHOICES.items()}
_WITH_ADAPTER = ("sglang", "vllm")
_WINDOW = {"warmup": "--warmup", "steps": "--steps", "step_on": "--step-on", "start_on": "--start-on"}


def of_a_comparison(run: RunReport) -> str | None:
    """Records the run's command in two settings in turn, or once more; None where a name must not be pasted."""
    setup = run.setup
    if setup is None or setup.backend_adapter or any(name in " ".join(setup.argv) for name in _WITH_ADAPTER):
        return _command(["--backend", "torch", "--versus", "pynccl"], FEWEST_REPEATS, setup)
    # Without a GPU there is no NCCL to set; the other side is the program after a change.
    other = ["--label", "NAME"] if on_host(run) else ["--versus", "simple"]
    return _command(other, FEWEST_REPEATS, setup)


def of_repeats(baseline: Sequence[RunReport], candidate: Sequence[RunReport], runs: int) -> str | None:
    """Records both sides of a comparison `runs` times in turn; None where a name must not be pasted."""
    if not baseline or not candidate:
        return None
    one, other = baseline[0], candidate[0]
    versus = _versus(one, other)
    alike = one.setup is not None and other.setup is not None and one.setup.argv == other.setup.argv
    return _command(versus, runs, one.setup if alike else None)


def _versus(one: RunReport, other: RunReport) -> list[str]:
    """The options in which two sides differ: two backends or two of NCCL's presets."""
    backends = [_backend(run) for run in (one, other)]
    if backends[0] != backends[1]:
        return ["--backend", backends[0], "--versus", backends[1]]
    presets = [run.setup.nccl_presets if run.setup else () for run in (one, other)]
    if presets[0] != presets[1] and len(presets[1]) == 1:
        return [*(word for name in presets[0] for word in ("--nccl-preset", name)), "--versus", presets[1][0]]
    return ["--label", "NAME"]


def _backend(run: RunReport) -> str:
    asked = run.setup.backend_asked if run.setup else None
    return asked or _BACKENDS.get(run.backend, "pynccl")


def _command(settings: list[str], runs: int, setup: Setup | None) -> str | None:
    window = dict(setup.window) if setup else {}
    options = [word for name, option in _WINDOW.items() if _is_set(window.get(name)) for word in (option, window[name])]
    words = ["traceana", "capture", "-o", FOLDER, *settings, "--repeat", str(runs), *options, "--"]
    command = f"{shlex.join(words)} {shlex.join(setup.argv) if setup and setup.argv else YOUR_COMMAND}"
    return command if command.isprintable() else None


def _is_set(value: str | None) -> bool:
    return value not in (None, "", "0", "None")
