"""`make matrix`: capture's tests on other versions of Python and torch, each in an environment of its own.

`python -m tests.matrix [--only PYTHON-TORCH] [FOLDER]`. Pythons are looked for on PATH and under pyenv; one that is not
here is said to be so. Torch comes from pip's index: PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu makes the
downloads small.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
# The oldest torch with capture's door, those between with each Python that they know, and the newest.
PAIRS = (
    ("3.10", "2.5.*"),
    ("3.11", "2.6.*"),
    ("3.12", "2.8.*"),
    ("3.13", "2.10.*"),
    ("3.13", "2.14.*"),
    ("3.14", "2.15.*"),
)
TESTS = ("unit/test_capture_*.py", "integration/test_capture_safety.py")
NOT_HERE, FAILED = "this Python is not here", "could not be installed"


def main() -> None:
    """Test each pair and print a line for it; exit code 1 where one failed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / ".matrix")
    parser.add_argument("--only", metavar="PYTHON-TORCH", help="such as 3.10-2.5")
    options = parser.parse_args()
    outcomes = {
        f"{python} with torch {torch}": _outcome(options.folder, python, torch)
        for python, torch in PAIRS
        if options.only in (None, f"{python}-{torch.removesuffix('.*')}")
    }
    for pair, outcome in outcomes.items():
        print(f"Python {pair}: {outcome}")
    sys.exit(any(outcome not in ("passed", NOT_HERE) for outcome in outcomes.values()))


def _outcome(folder: Path, version: str, torch: str) -> str:
    python = _python(version)
    if python is None:
        return NOT_HERE
    place = folder / f"{version}-{torch.removesuffix('.*')}"
    if not (place / "installed").exists() and not _install(python, place, torch):
        return FAILED
    tests = [path for pattern in TESTS for path in sorted((ROOT / "tests").glob(pattern))]
    argv = [str(place / "bin" / "python"), "-m", "pytest", "--quiet", "-p", "no:cacheprovider", *map(str, tests)]
    return "passed" if subprocess.run(argv, cwd=ROOT, check=False).returncode == 0 else "failed"


def _python(version: str) -> str | None:
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = sorted(pyenv.glob(f"{version}.*/bin/python"))
    return str(found[-1]) if found else shutil.which(f"python{version}")


def _install(python: str, place: Path, torch: str) -> bool:
    """What capture and its tests need, without what only the analysis of traces on other machines does."""
    pip = [str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-compile"]
    steps = (
        [python, "-m", "venv", "--clear", str(place)],
        [*pip, "--upgrade", "pip>=25.1"],
        [*pip, f"torch=={torch}"],
        [*pip, "--editable", f"{ROOT}[full]", "--group", f"{ROOT / 'pyproject.toml'}:test"],
    )
    if any(subprocess.run(step, check=False).returncode for step in steps):
        return False
    (place / "installed").touch()
    return True


if __name__ == "__main__":
    main()
