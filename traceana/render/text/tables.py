"""Tables of text for the terminal and for Markdown. Cells are untrusted: no markup in them is obeyed."""

import re
import sys
from collections.abc import Sequence

import msgspec

from traceana.plain import plain

_MARKDOWN = re.compile(r"([\\|`*_<>\[\]#])")
_PIPE_COLUMNS = 160


class TextTable(msgspec.Struct, frozen=True, kw_only=True):
    """A titled table; the first `text_columns` columns are words, the others numbers.

    `notes` follow it, then `commands` to type, each on a line that is never broken.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    text_columns: int = 1
    notes: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()


def markdown(tables: Sequence[TextTable]) -> str:
    """GitHub's Markdown, a heading a table."""
    return "\n\n".join(_markdown_table(table) for table in tables) + "\n"


def _markdown_table(table: TextTable) -> str:
    rules = [":---" if i < table.text_columns else "---:" for i in range(len(table.columns))]
    grid = (table.columns, *table.rows) if table.rows else ()
    lines = ["| " + " | ".join(map(_escaped, row)) + " |" for row in grid]
    if lines:
        lines.insert(1, "| " + " | ".join(rules) + " |")
    notes = [f"- {_escaped(note)}" for note in (*table.notes, *table.commands)]
    parts = (f"### {_escaped(table.title)}", "\n".join(lines), "\n".join(notes))
    return "\n\n".join(part for part in parts if part)


def _escaped(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", plain(text))


def show(tables: Sequence[TextTable]) -> None:
    """Print to stdout as wide as the terminal is."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # A pipe has no width; lines there may be long.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE_COLUMNS)
    for table in tables:
        console.print(Text(plain(table.title), style="bold"))
        if table.rows:
            grid = Table(box=None, pad_edge=False, header_style="dim")
            for index, column in enumerate(table.columns):
                grid.add_column(
                    Text(plain(column)), justify="left" if index < table.text_columns else "right", overflow="fold"
                )
            for row in table.rows:
                grid.add_row(*(Text(plain(cell), style=_STYLES.get(cell, "")) for cell in row))
            console.print(grid)
        for note in table.notes:
            console.print(Text(f"  {plain(note)}"))
        for command in table.commands:
            console.print(Text(f"  {plain(command)}"), soft_wrap=True)
        console.print()


_STYLES = {"faster": "green", "better": "green", "slower": "red", "worse": "red", "cannot tell": "dim"}
