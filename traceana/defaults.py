"""Defaults of options from a file: `traceana.toml`, or `[tool.traceana]` in `pyproject.toml`, the nearest above here.

A table a command, a key an option without its dashes:

    [analyze]
    buckets = "1MiB,8MiB"

    [capture]
    nccl-preset = ["debug"]
"""

import difflib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from traceana.errors import TraceanaError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

OWN = "traceana.toml"
SHARED = "pyproject.toml"


def of_folder(folder: Path, commands: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Defaults by command and option, as click's `default_map` takes them; empty where no file has any.

    Raises TraceanaError for a file that is no TOML, or names a command that is not in `commands`.
    """
    for place in (folder, *folder.parents):
        for file in (place / OWN, place / SHARED):
            found = _tables(file)
            if found is not None:
                return _of_commands(file, found, commands)
    return {}


def check(command: str, options: Mapping[str, Any], known: Sequence[str]) -> None:
    """Raise TraceanaError for an option that the command does not have."""
    for name in options:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {_dashed(close[0])}?" if close else f"see `traceana {command} --help`"
            raise TraceanaError(f"defaults of {command}: there is no option {_dashed(name)}; {hint}")


def _tables(file: Path) -> dict[str, Any] | None:
    """The file's tables; None where there is no file, or a shared one without ours."""
    try:
        text = file.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError, PermissionError, IsADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise TraceanaError(f"{file}: cannot be read ({error})") from error
    if file.name == SHARED and "tool.traceana" not in text:
        return None
    try:
        found: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise TraceanaError(f"{file}: no TOML ({error})") from error
    if file.name == OWN:
        return found
    ours = found.get("tool", {}).get("traceana")
    return ours if isinstance(ours, dict) else None


def _of_commands(file: Path, tables: Mapping[str, Any], commands: Sequence[str]) -> dict[str, dict[str, Any]]:
    for name, table in tables.items():
        if name not in commands or not isinstance(table, dict):
            raise TraceanaError(f"{file}: [{name}] is no command; write a table for any of {', '.join(commands)}")
    return {name: {key.replace("-", "_"): value for key, value in table.items()} for name, table in tables.items()}


def _dashed(name: str) -> str:
    return "--" + name.replace("_", "-")
