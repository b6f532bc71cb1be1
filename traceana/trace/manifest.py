"""`run.json`, which capture leaves beside the traces: here only what an analysis shows or needs."""

from dataclasses import dataclass, field
from pathlib import Path

import msgspec

MANIFEST = "run.json"


class _Rank(msgspec.Struct):
    rank: int
    host: str | None = None


class _File(msgspec.Struct):
    label: str | None = None
    repeat: int | None = None
    versions: dict[str, str | None] = {}
    ranks: list[_Rank] = []


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """All empty where a folder has no run.json or one that is not ours."""

    label: str | None = None
    repeat: int | None = None
    """Which of the repeats of its label this is, from 1."""
    versions: dict[str, str] = field(default_factory=dict)
    hosts: dict[int, str] = field(default_factory=dict)


def read_manifest(folder: Path) -> Manifest:
    """Read `folder`/run.json; a missing or foreign file is an empty manifest."""
    try:
        file = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=_File)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return Manifest()
    return Manifest(
        label=file.label,
        repeat=file.repeat,
        versions={name: version for name, version in file.versions.items() if version},
        hosts={rank.rank: rank.host for rank in file.ranks if rank.host},
    )
