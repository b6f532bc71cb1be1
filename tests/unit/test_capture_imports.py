"""The agent is a guest in the user's process: it finds there the standard library, torch, and what it brings itself."""

import ast
import sys
from pathlib import Path

import pytest
import traceana_capture

PACKAGE = Path(str(traceana_capture.__file__)).parent
AGENT = sorted(PACKAGE.glob("agent/**/*.py"))


def imported(path: Path) -> set[str]:
    """Full names of the modules that the file imports, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            # `from package import module` and `from .module import name` are not told apart by their names.
            assert node.level == 0, f"{path}: write imports in full"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", AGENT, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_agent_imports_nothing_but_the_standard_library_torch_and_itself(path: Path) -> None:
    allowed = sys.stdlib_module_names | {"torch"}
    strangers = {name for name in imported(path) if name.partition(".")[0] not in allowed}
    assert {name for name in strangers if not f"{name}.".startswith("traceana_capture.agent.")} == set()


def test_the_whole_agent_was_looked_at() -> None:
    assert {"entry.py", "c10d.py", "adapters/vllm.py"} <= {str(path.relative_to(PACKAGE / "agent")) for path in AGENT}
