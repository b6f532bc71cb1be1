"""How a run was made, from run.json."""

import msgspec


class NcclLog(msgspec.Struct, frozen=True, kw_only=True):
    """What NCCL's own log says on one rank: pairs such as ("transports", "P2P/CUMEM (24 channels)")."""

    rank: int
    facts: tuple[tuple[str, str], ...]


class MissingRank(msgspec.Struct, frozen=True, kw_only=True):
    """A rank that left no trace, and why."""

    rank: int
    reason: str


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """How capture ran the command, from run.json. Pairs are names and values, such as ("NCCL_ALGO", "Ring")."""

    argv: tuple[str, ...]
    started: str | None
    """ISO 8601."""
    exit_code: int | None
    window: tuple[tuple[str, str], ...]
    backend_asked: str | None
    backend_adapter: str | None
    backend_seen: tuple[str, ...]
    backend_mismatch: str | None
    """Why the traces do not show the backend that was asked for; None where they do."""
    nccl_presets: tuple[str, ...]
    nccl_set: tuple[tuple[str, str], ...]
    nccl_logs: tuple[NcclLog, ...]
    environment: tuple[tuple[str, str], ...]
    missing: tuple[MissingRank, ...]
