"""The agent runs inside a stranger's program: what it imports there is the standard library, torch and itself."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import traceana_capture.agent

AGENT = Path(traceana_capture.agent.__file__).parent
MODULES = sorted(AGENT.rglob("*.py"))


def imported(source: str) -> Iterator[str]:
    """Full names of modules, also of imports inside functions."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None
            yield node.module


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(AGENT).as_posix())
def test_a_module_of_the_agent_imports_the_standard_library_torch_and_the_agent(path: Path) -> None:
    foreign = {
        name
        for name in imported(path.read_text())
        if name.partition(".")[0] not in {"torch", *sys.stdlib_module_names}
        and not name.startswith("traceana_capture.agent")
    }
    assert foreign == set()


def test_the_agent_has_modules() -> None:
    assert AGENT / "entry.py" in MODULES
