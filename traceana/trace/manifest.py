"""What an analysis shows or needs of the `run.json` that capture leaves beside the traces."""

from pathlib import Path
from typing import Any

import msgspec
from traceana_capture import parts, runfile
from traceana_capture.early import early

from traceana.plain import plain
from traceana.report import MissingRank, NcclLog, Setup
from traceana.units import number_ranges


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """All empty where a folder has no run.json or one that is not ours."""

    label: str | None = None
    repeat: int | None = None
    """Which of the repeats of its label this is, from 1."""
    versions: dict[str, str] = msgspec.field(default_factory=dict)
    hosts: dict[int, str] = msgspec.field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """What is to be said of nodes' parts, and of windows that ended before what they were to record was over."""
    window: int = 1
    """Which of the windows of one command this is, from 1."""
    opened: str | None = None
    """When the first rank began to record, in ISO 8601."""
    setup: Setup | None = None


def read_manifest(*folders: Path) -> Manifest:
    """Read run.json, or the parts that nodes left of it, in the folders of a run; nothing makes an empty manifest."""
    found = [runfile.read(file) for folder in folders for file in runfile.files(folder)]
    run = parts.join(found)
    number, opened = run.window.get("number"), run.window.get("opened")
    return Manifest(
        window=number if isinstance(number, int) and number > 0 else 1,
        opened=opened if isinstance(opened, str) else None,
        label=run.label,
        repeat=run.repeat,
        versions={name: version for name, version in run.versions.items() if version},
        notes=(*map(plain, parts.notes(found)), *map(plain, run.faults), *_early(run.ranks)),
        hosts={rank.rank: rank.host for rank in run.ranks if rank.host},
        setup=None if run.argv is None else _setup(run.argv, run),
    )


def _early(ranks: tuple[runfile.Rank, ...]) -> tuple[str, ...]:
    said = early(ranks).items()
    return tuple(f"{'rank' if len(of) == 1 else 'ranks'} {number_ranges(of)}: {text}" for text, of in said)


def _setup(argv: tuple[str, ...], run: runfile.FoundRun) -> Setup:
    backend, nccl = run.backend, run.nccl
    return Setup(
        argv=argv,
        started=run.started,
        exit_code=run.exit_code,
        window=_pairs(run.window),
        backend_asked=backend.asked or None,
        backend_adapter=backend.adapter,
        backend_seen=backend.seen,
        backend_mismatch=backend.mismatch,
        nccl_presets=nccl.preset,
        nccl_set=_pairs(nccl.set),
        nccl_logs=tuple(NcclLog(rank=log.rank, facts=_facts(log)) for log in nccl.ranks),
        environment=_pairs(run.environment),
        missing=tuple(
            MissingRank(rank=rank.rank, reason=rank.reason or rank.outcome)
            for rank in run.ranks
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
