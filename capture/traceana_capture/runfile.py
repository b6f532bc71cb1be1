"""`run.json`: what ran, and what became of each rank's trace; written and read here alone.

Where several launchers started one run, or its ranks record by themselves, each leaves a part of its own,
`run.NODE.json`; `parts.py` joins them.
"""

import contextlib
import dataclasses
import re
import typing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from traceana_capture.masks import masked_text, masked_values, masked_words
from traceana_capture.reading import DECODE_ERRORS, open_regular, read_regular

NAME = "run.json"
PART = re.compile(r"run\.[\w.-]+\.json")
_OURS = re.compile(rb"\{\s*\"schema_version\"\s*:\s*\d+\s*,")
SCHEMA_VERSION = 1
Texts = dict[str, str | int | float | bool | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """What was asked for, what adapters did, what the traces show, and why these do not agree, or None.

    `paired` are the operations of `--paired`; `pairs` counts the calls of all ranks that ran on both backends.
    """

    asked: str
    adapter: str | None
    seen: tuple[str, ...]
    mismatch: str | None
    paired: tuple[str, ...] = ()
    pairs: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """When the window was to open and close; durations in seconds, None where a block of code is the window.

    `number` counts the windows of one command from 1; `opened` is when the first rank began to record.
    """

    delay_s: float
    duration_s: float | None
    warmup: int
    steps: int
    start_on: str | None
    step_on: str | None
    number: int = 1
    opened: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NcclLog:
    """What NCCL said about itself in one rank's log.

    `transports` are the channels by kind, such as P2P/CUMEM; `channels` the most of each kind; `choices` an algorithm
    and a protocol each, "AllReduce RING SIMPLE" (NCCL logs them on rank 0 only); `variables` those that NCCL saw. What
    it says nothing of is None or empty.
    """

    rank: int
    file: str
    version: str | None
    network: str | None
    transports: dict[str, tuple[int, ...]]
    channels: dict[str, int]
    nvls: bool | None
    choices: tuple[str, ...]
    variables: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Nccl:
    """Variables that were set for the run, the presets that they came from, and what NCCL's logs say."""

    set: dict[str, str]
    preset: tuple[str, ...]
    ranks: tuple[NcclLog, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rank:
    """`outcome` is complete or missing; `bytes` are of the published file.

    `lasted_s` is the window's length; `still_to_come` says which of the steps that were asked for were recorded, where
    these are not all.
    """

    rank: int
    pid: int | None
    host: str | None
    outcome: str
    reason: str
    file: str | None
    bytes: int
    lasted_s: float | None = None
    still_to_come: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFile:
    """The file's content; times in ISO 8601, UTC. `gpus` are names by rank, `environment` an allow-list.

    Repeats of one setting share `label`; `repeat` counts them from 1 and is None for a run by itself. A part says which
    `node` it is of, which `launch` it shares with the others, and how many `launchers` there are, where that is known;
    its `ranks` are those that were seen there. While the command goes on, `exit_code` is None and `ended` is when the
    file was written. `faults` tell what is wrong with other packages' adapters.
    """

    schema_version: int = SCHEMA_VERSION
    label: str
    repeat: int | None
    argv: tuple[str, ...]
    host: str
    started: str
    ended: str
    exit_code: int | None
    world_size: int
    backend: Backend
    versions: dict[str, str]
    gpus: dict[str, str | None]
    environment: dict[str, str]
    nccl: Nccl
    window: Window
    ranks: tuple[Rank, ...]
    node: str | None = None
    launch: str | None = None
    launchers: int | None = None
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundRun:
    """What could be read of a file of any version: a key that is absent, or not as we write it, keeps its default here.

    A field that is new in `Backend`, `NcclLog`, `Nccl` or `Rank` needs a default, so that older files tell the rest.
    """

    label: str | None = None
    repeat: int | None = None
    argv: tuple[str, ...] | None = None
    host: str | None = None
    started: str | None = None
    ended: str | None = None
    exit_code: int | None = None
    world_size: int = 0
    backend: Backend = Backend(asked="", adapter=None, seen=(), mismatch=None)
    versions: dict[str, str | None] = field(default_factory=dict)
    environment: Texts = field(default_factory=dict)
    nccl: Nccl = field(default_factory=lambda: Nccl(set={}, preset=(), ranks=()))
    window: Texts = field(default_factory=dict)
    ranks: tuple[Rank, ...] = ()
    node: str | None = None
    launch: str | None = None
    launchers: int | None = None
    faults: tuple[str, ...] = ()


Run = TypeVar("Run", RunFile, FoundRun)


def masked(run: Run) -> Run:
    """The run without secrets in its command, its variables and its reasons."""
    known = {name: str(value) for name, value in run.environment.items() if value is not None}
    environment: dict[str, Any] = dict(masked_values(known))
    logs = tuple(replace(log, variables=masked_values(log.variables)) for log in run.nccl.ranks)
    return replace(
        run,
        argv=None if run.argv is None else masked_words(run.argv),
        environment=environment,
        nccl=replace(run.nccl, set=masked_values(run.nccl.set), ranks=logs),
        ranks=tuple(replace(rank, reason=masked_text(rank.reason)) for rank in run.ranks),
        faults=tuple(map(masked_text, run.faults)),
    )


def part_name(node: str) -> str:
    """The file of one node's part."""
    return f"run.{node}.json"


def name_of(node: str | None) -> str:
    """The run's file, or the one of a node's part."""
    return NAME if node is None else part_name(node)


def write(run: RunFile, folder: Path, scratch: Path) -> None:
    """Write the run's file into `folder` by rename, without secrets; raises OSError."""
    name = name_of(run.node)
    partial = scratch / name
    partial.write_bytes(msgspec.json.format(msgspec.json.encode(masked(run)), indent=1) + b"\n")
    partial.replace(folder / name)


def files(folder: Path) -> list[Path]:
    """`run.json` where it is there, and the parts of nodes, by name."""
    with contextlib.suppress(OSError):
        names = sorted(path.name for path in folder.iterdir())
        return [folder / name for name in names if name == NAME or is_part(folder / name)]
    return []


def is_part(path: Path) -> bool:
    """Whether a file is a node's part, and not a trace that somebody called so."""
    return PART.fullmatch(path.name) is not None and is_ours(path)


def is_ours(path: Path) -> bool:
    """Whether a file begins as traceana's own do: run.json, a part of it, a report."""
    try:
        with open_regular(path) as file:
            return _OURS.match(file.read(64)) is not None
    except OSError:
        return False


def read(path: Path) -> FoundRun:
    """What one file tells, without secrets: nothing where there is none, or one of somebody else."""
    try:
        file = msgspec.json.decode(read_regular(path), type=dict[str, Any])
    except (OSError, *DECODE_ERRORS):
        return FoundRun()
    kinds = typing.get_type_hints(FoundRun)
    known: dict[str, Any] = {}
    for name in {entry.name for entry in dataclasses.fields(FoundRun)} & file.keys():
        try:
            known[name] = msgspec.convert(file[name], type=kinds[name])
        except DECODE_ERRORS:
            continue
    return masked(FoundRun(**known))
