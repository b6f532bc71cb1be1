"""What the times of a table are of: transfer, or duration with its waiting."""

from collections.abc import Iterable


def common_basis(bases: Iterable[str]) -> str | None:
    """The one that all rows share, for the head of the column; None where rows differ, so that each names its own."""
    found = set(bases)
    return found.pop() if len(found) == 1 else None
