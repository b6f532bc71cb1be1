"""How to run a command and what to record of it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from traceana.errors import TraceanaError
from traceana_capture.agent.choices import CHOICES, OPERATIONS

BACKENDS = ("asis", *CHOICES)
# Against each other where --paired names an operation alone.
PAIR = ("torch", "pynccl")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """An operation that also runs on two backends, the first of which is the baseline."""

    operation: str
    backends: tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Durations in seconds; `nccl` are the variables of the presets and of the single settings together."""

    argv: tuple[str, ...]
    duration_s: float = 10.0
    delay_s: float = 0.0
    ranks: tuple[int, ...] = ()
    shapes: bool = False
    stacks: bool = False
    memory: bool = False
    all_threads: bool = False
    max_collectives: int = 20_000
    max_memory_mib: int = 1024
    backend: str = "asis"
    paired: tuple[Pairing, ...] = ()
    start_on: str = ""
    step_on: str = ""
    warmup: int = 0
    steps: int = 0
    nccl: dict[str, str]
    presets: tuple[str, ...] = ()
    timeout_s: float | None = None
    every_s: float | None = None
    """How far apart windows open; None where the first is the only one that opens by itself."""
    keep: int = 6
    """So many closed windows stay where they open `every_s`."""
    shared: bool = False
    """Whether others may read the run, as the umask says."""


def rank_list(text: str) -> tuple[int, ...]:
    """Ranks of a list such as "0,3"; raises TraceanaError for anything else."""
    if not re.fullmatch(r"(\d+(,\d+)*)?", text):
        raise TraceanaError(f"--ranks {text!r} must be numbers with commas between them, such as 0,3")
    return tuple(int(rank) for rank in text.split(",") if rank)


def seconds(option: str, text: str) -> float:
    """Seconds of "90", "90s", "10m" or "1h"; raises TraceanaError for anything else, and for nothing."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text)
    value = float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[found[2]] if found else 0.0
    if not value:
        raise TraceanaError(f"{option} {text!r} must be a time such as 90s, 10m or 1h")
    return value


def pairings(texts: Sequence[str]) -> tuple[Pairing, ...]:
    """Of each "all_reduce" or "all_reduce:torch,custom"; the baseline is the backend that the help names first.

    Raises TraceanaError for anything else, and where two backends cannot run the same call in one process.
    """
    found = tuple(map(_pairing, texts))
    twice = [one.operation for at, one in enumerate(found) if one.operation in {two.operation for two in found[:at]}]
    if twice:
        raise TraceanaError(f"--paired {twice[0]} is asked for twice; a run has two backends for it")
    return found


def _pairing(text: str) -> Pairing:
    operation, _, names = text.partition(":")
    if operation not in OPERATIONS:
        raise TraceanaError(f"--paired {text!r} must be {', '.join(OPERATIONS)}, or such as all_reduce:torch,custom")
    pair = tuple(names.split(",")) if names else PAIR
    if "asis" in pair:
        raise TraceanaError(
            f"--paired {text}: asis is the framework's choice among the others, so no call goes by it alone; name the "
            "one that it chooses, which traceana doctor tells of a run with --backend asis"
        )
    if len(set(pair)) != len(PAIR) or not set(pair) <= CHOICES.keys():
        raise TraceanaError(f"--paired {text!r} must name two of {', '.join(CHOICES)} after the colon")
    for name in pair:
        if operation not in CHOICES[name].pairs:
            carried = ", ".join(CHOICES[name].pairs)
            raise TraceanaError(f"--paired {text}: {name} carries {carried} alone, so no {operation} runs on both")
    one, other = sorted(pair, key=list(CHOICES).index)
    return Pairing(operation=operation, backends=(one, other))


def every_s(text: str, paired: Sequence[str]) -> float | None:
    """How far apart windows open, None for an empty text; raises TraceanaError where there is one window only."""
    if text and paired:
        raise TraceanaError("--every needs several windows, and ranks pair their calls in one; leave out --paired")
    return seconds("--every", text) if text else None


def function_name(option: str, text: str) -> str:
    """The text if it is empty or MODULE:FUNCTION; raises TraceanaError for anything else."""
    if text and not re.fullmatch(r"(?!__main__:)\w+(\.\w+)*:\w+(\.\w+)*", text):
        raise TraceanaError(f"{option} {text!r} must be MODULE:FUNCTION of an imported module, such as train.loop:step")
    return text
