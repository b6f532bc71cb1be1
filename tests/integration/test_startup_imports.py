"""What a quick command may import: nothing heavy, so that `traceana --help` answers at once."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "hta", "pandas", "numpy", "pyarrow", "jinja2", "rich")


@pytest.mark.parametrize(
    "command", ["import traceana", "from traceana.cli import root; root(['--help'], standalone_mode=False)"]
)
def test_start_up_imports_nothing_heavy(command: str) -> None:
    script = f"import sys; {command}; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_an_analysis_imports_neither_torch_nor_hta() -> None:
    script = "import sys, traceana.pipeline; print([n for n in ('torch', 'hta', 'pandas') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
