"""docs/architecture.md names files, folders and tables that there are."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "architecture.md").read_text()
PATHS = sorted(
    {path for path in re.findall(r"`((?:traceana|capture|tests|templates)/[^`]*)`", TEXT) if "NAME" not in path}
)
TABLES = re.findall(r"`(\w+)`(?: or `(\w+)`)? of `([^`]+\.py)`", TEXT)


@pytest.mark.parametrize("path", PATHS)
def test_a_path_exists(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize("names", TABLES, ids=lambda names: names[-1])
def test_a_table_stands_in_its_module(names: tuple[str, str, str]) -> None:
    *tables, module = names
    source = (ROOT / module).read_text()
    assert all(re.search(rf"^{table}\b.* = ", source, re.MULTILINE) for table in tables if table)


def test_every_room_is_named() -> None:
    rooms = {path.name for path in (ROOT / "traceana").iterdir() if path.is_dir() and (path / "__init__.py").exists()}
    assert {room for room in rooms if f"`traceana/{room}/`" not in TEXT} == set()


def test_the_tables_are_found() -> None:
    assert {"KERNELS", "OPERATIONS", "GUIDE", "VIEWS", "COMMANDS"} <= {names[0] for names in TABLES}
