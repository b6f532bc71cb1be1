"""`make newest`: whether the newest sglang, vLLM and diffusers have what capture's adapters need of them.

`python -m tests.newest [FOLDER]` fetches their wheels without dependencies into FOLDER, several hundred megabytes,
unpacks the Python sources, and reads them; nothing of them runs. Prints the versions, and each need that is not met.
"""

import argparse
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from traceana_capture.agent import adapters, direct, frameworks, pynccl
from traceana_capture.agent.choices import CHOICES
from traceana_capture.agent.frameworks import Need

from tests.wheels import missing

ROOT = Path(__file__).parent.parent

# Wrapped where it is there.
NOT_EVERYWHERE = {"ncclReduce"}


def needs() -> list[Need]:
    """All that adapters need of the frameworks."""
    found = [need for framework in adapters.FRAMEWORKS for need in getattr(framework, "NEEDS", ())]
    found += [Need(module=end, path=path) for end, (_, functions, _) in direct.FUNCTIONS.items() for path in functions]
    arguments = ("|".join(pynccl.COUNTS), "datatype", "comm")
    library: dict[str, tuple[str, ...]] = {
        name: arguments for name in (*pynccl.METHODS, "ncclSend", "ncclRecv") if name not in NOT_EVERYWHERE
    }
    library |= {"ncclCommInitRank": ("world_size",), "ncclGetVersion": (), "lib": ()}
    wrapper = ".device_communicators.pynccl_wrapper"
    return [*found, *(Need(module=wrapper, path=f"NCCLLibrary.{name}", parameters=of) for name, of in library.items())]


def main() -> None:
    """Fetch, check and print; exit code 1 where something is missing."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / ".newest")
    folder = parser.parse_args().folder
    for wheel in _fetched(folder):
        name, version = wheel.name.split("-")[:2]
        tried = frameworks.TRIED[name]
        print(f"{name} {version}" + ("" if version in tried else f"; adapters were tried with {', '.join(tried)}"))
    lacks = {need: lack for need in needs() if (lack := missing(need, folder / "sources"))}
    for need, lack in lacks.items():
        print(f"missing: {need.module} {need.path}: {lack}")
    unknown = _unknown_variables(folder / "sources")
    for name in unknown:
        print(f"missing: the variable {name} is nowhere in the sources")
    print(f"{len(needs()) - len(lacks)} of {len(needs())} attributes that adapters need are there")
    sys.exit(bool(lacks or unknown))


def _fetched(folder: Path) -> list[Path]:
    """The wheels, whose sources lie in `folder`/sources; what the folder has already is not fetched again."""
    folder.mkdir(exist_ok=True)
    shutil.rmtree(folder / "sources", ignore_errors=True)
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "-d", str(folder)]
    subprocess.run([*pip, *frameworks.TRIED], check=True)
    newest: dict[str, Path] = {}
    for wheel in sorted(folder.glob("*.whl"), key=lambda wheel: wheel.stat().st_mtime):
        newest[wheel.name.split("-")[0]] = wheel
    for wheel in newest.values():
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder / "sources", [name for name in archive.namelist() if name.endswith(".py")])
    return list(newest.values())


def _unknown_variables(sources: Path) -> list[str]:
    """Variables of frameworks that capture sets and that no source names."""
    left = {name for choice in CHOICES.values() for name in choice.variables}
    for path in sources.rglob("*env*.py"):
        text = path.read_text(encoding="utf-8")
        left = {name for name in left if name not in text}
    return sorted(left)


if __name__ == "__main__":
    main()
