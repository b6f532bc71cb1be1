"""What a quick command may import: nothing heavy, so that `traceana --help` answers at once."""

import subprocess
import sys
from pathlib import Path

import pytest

TRACES = Path(__file__).parent.parent / "traces" / "h200" / "torch-2r"
HEAVY = ("torch", "hta", "pandas", "numpy", "pyarrow", "jinja2", "rich")


def test_import_traceana_imports_nothing_but_the_standard_library_and_itself() -> None:
    script = "import sys; old = {*sys.modules}; import traceana; print(*sorted({*sys.modules} - old))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    ours = [name for name in done.stdout.split() if name.partition(".")[0] not in sys.stdlib_module_names]
    assert ours == ["traceana"]


@pytest.mark.parametrize(
    "command", ["import traceana", "from traceana.cli import root; root(['--help'], standalone_mode=False)"]
)
def test_start_up_imports_nothing_heavy(command: str) -> None:
    script = f"import sys; {command}; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_an_analysis_to_its_last_file_imports_none_of_torch_hta_and_pandas(tmp_path: Path) -> None:
    script = (
        "import sys; from traceana.cli import root; root(sys.argv[1:], standalone_mode=False); "
        "print([n for n in ('torch', 'hta', 'pandas') if n in sys.modules])"
    )
    command = ["analyze", str(TRACES), "-o", str(tmp_path / "report"), "--no-cache"]
    done = subprocess.run([sys.executable, "-c", script, *command], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert (tmp_path / "report" / "collectives.parquet").exists()
