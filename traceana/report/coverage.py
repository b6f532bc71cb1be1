"""What the numbers stand on, and what disturbs them."""

import msgspec


class TruncatedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that ends early: `events` whole ones were kept."""

    file: str
    rank: int
    events: int
    missing: str
    """In words: how much is gone, as far as it can be known."""


class Coverage(msgspec.Struct, frozen=True, kw_only=True):
    """What the numbers stand on. `collectives` and `matched` count per-rank calls."""

    collectives: int
    matched: int
    without_size: int
    truncated_files: tuple[TruncatedFile, ...]
    skipped_events: int
    failed_files: tuple[str, ...]
    """Files that could not be read at all, each with its reason."""
    notes: tuple[str, ...]


class Noise(msgspec.Struct, frozen=True, kw_only=True):
    """Something that makes a run's times unsteady. `kind` is `drift` (a rank's compute a step changes over the
    recording) or `uneven` (a rank computes slower than its peers); `change` is the relative change."""

    kind: str
    rank: int
    change: float
    text: str
