"""`run.json`, which capture leaves beside the traces: here only what an analysis shows or needs.

Keys and types are those of `traceana_capture.runfile`. Each key is read by itself: one that is absent, or not as
capture writes it, is left out and costs no other. A field that is new there needs a default, so that older files still
tell the rest.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from traceana_capture import runfile

from traceana.report import MissingRank, NcclLog, Setup

MANIFEST = "run.json"
T = TypeVar("T")

NO_BACKEND = runfile.Backend(asked="", adapter=None, seen=(), mismatch=None)
NO_NCCL = runfile.Nccl(set={}, preset=(), ranks=())
_Texts = dict[str, str | int | float | bool | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """All empty where a folder has no run.json or one that is not ours."""

    label: str | None = None
    repeat: int | None = None
    """Which of the repeats of its label this is, from 1."""
    versions: dict[str, str] = field(default_factory=dict)
    hosts: dict[int, str] = field(default_factory=dict)
    setup: Setup | None = None


def read_manifest(folder: Path) -> Manifest:
    """Read `folder`/run.json; a missing or foreign file is an empty manifest."""
    try:
        file = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Manifest()
    ranks: list[runfile.Rank] = _read(file, "ranks", list[runfile.Rank], [])
    versions: dict[str, str | None] = _read(file, "versions", dict[str, str | None], {})
    return Manifest(
        label=_read(file, "label", str | None, None),
        repeat=_read(file, "repeat", int | None, None),
        versions={name: version for name, version in versions.items() if version},
        hosts={rank.rank: rank.host for rank in ranks if rank.host},
        setup=_setup(file, ranks) if "argv" in file else None,
    )


def _read(file: dict[str, Any], key: str, kind: Any, otherwise: T) -> T:
    try:
        value: T = msgspec.convert(file.get(key, otherwise), type=kind)
    except msgspec.ValidationError:
        return otherwise
    return value


def _setup(file: dict[str, Any], ranks: list[runfile.Rank]) -> Setup:
    backend, nccl = _read(file, "backend", runfile.Backend, NO_BACKEND), _read(file, "nccl", runfile.Nccl, NO_NCCL)
    return Setup(
        argv=tuple(_read(file, "argv", list[str], [])),
        started=_read(file, "started", str | None, None),
        exit_code=_read(file, "exit_code", int | None, None),
        window=_pairs(_read(file, "window", _Texts, {})),
        backend_asked=backend.asked or None,
        backend_adapter=backend.adapter,
        backend_seen=backend.seen,
        backend_mismatch=backend.mismatch,
        nccl_presets=nccl.preset,
        nccl_set=_pairs(nccl.set),
        nccl_logs=tuple(NcclLog(rank=log.rank, facts=_facts(log)) for log in nccl.ranks),
        environment=_pairs(_read(file, "environment", _Texts, {})),
        missing=tuple(
            MissingRank(rank=rank.rank, reason=rank.reason or rank.outcome)
            for rank in ranks
            if rank.outcome != "complete"
        ),
    )


def _pairs(values: Any) -> tuple[tuple[str, str], ...]:
    """In the order of the file; what is not set says nothing."""
    return tuple((name, str(value)) for name, value in values.items() if value not in (None, ""))


def _facts(log: runfile.NcclLog) -> tuple[tuple[str, str], ...]:
    """NCCL's choices in words, in one order for all ranks."""
    nvls = {True: "available", False: "not available", None: ""}[log.nvls]
    facts = {
        "version": log.version or "",
        "network": log.network or "",
        "transports": ", ".join(f"{kind} ({len(channels)} channels)" for kind, channels in log.transports.items()),
        "channels": ", ".join(f"{number} {kind}" for kind, number in log.channels.items()),
        "NVLS": nvls,
        "algorithms": ", ".join(log.choices),
        **log.variables,
    }
    return tuple((name, value) for name, value in facts.items() if value)
