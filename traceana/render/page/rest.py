"""Rows of a table that the page shows when they are asked for: thousands of them would make it slow and large."""

import base64
import zlib
from collections.abc import Sequence
from typing import TypeVar

Row = TypeVar("Row")
MOST_ROWS = 256
"""Rows that are there at once, those that stand out first."""


def split(rows: Sequence[Row]) -> tuple[Sequence[Row], Sequence[Row]]:
    """The rows that are shown at once, and the rest."""
    return rows[:MOST_ROWS], rows[MOST_ROWS:]


def packed(html: str) -> str:
    """Rows for report.js to unpack: alike as they are, they shrink to a tenth."""
    return base64.b64encode(zlib.compress(html.encode("utf-8", "replace"), 9)).decode()
