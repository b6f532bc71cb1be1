"""The wheel, built from the sources and installed where the sources are not."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "traceana", "capture", "templates", "tests/traces/h200")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `traceana` script of a fresh environment; only its dependencies come from the one that runs the tests."""
    folder = tmp_path_factory.mktemp("wheel")
    sources = folder / "sources"
    sources.mkdir()
    for name in SOURCES:
        source = ROOT / name
        (sources / name).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, sources / name)
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(sources))
    run(sys.executable, "-m", "venv", "--without-pip", str(folder / "env"))
    python = folder / "env" / "bin" / "python"
    (wheel,) = folder.glob("*.whl")
    run(sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index", str(wheel))
    site = run(str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    # A folder that a .pth file adds is not searched for .pth files itself, so the editable install stays out.
    dependencies = [path for path in sys.path if path.endswith("site-packages")]
    Path(site, "dependencies.pth").write_text("\n".join(dependencies) + "\n")
    return python.with_name("traceana")


def run(*command: str) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd="/", env={"PATH": os.environ["PATH"]}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_version(installed: Path) -> None:
    assert run(str(installed), "--version").startswith("traceana, version ")


def test_an_analysis_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    traces = ROOT / "tests" / "traces" / "h200" / "torch-2r"
    run(str(installed), "analyze", str(traces), "-o", str(tmp_path))
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["runs"][0]["coverage"]["matched"] == 144
    assert "<svg" in (tmp_path / "report.html").read_text()


def test_the_recorded_runs_come_with_the_wheel(installed: Path, tmp_path: Path) -> None:
    assert "torch-2r: 2 of 2 ranks" in run(str(installed), "demo", "--recorded", "-o", str(tmp_path))


def test_the_wheel_and_not_the_sources_was_tested(installed: Path) -> None:
    where = run(str(installed.with_name("python")), "-c", "import traceana; print(traceana.__file__)")
    assert Path(where).is_relative_to(installed.parents[1])


def test_every_module_and_template_is_in_the_wheel(installed: Path) -> None:
    (wheel,) = installed.parents[2].glob("*.whl")
    sources = [path for folder in ("traceana", "capture", "templates") for path in (ROOT / folder).rglob("*.*")]
    names = {path.relative_to(ROOT).as_posix() for path in sources if path.suffix in (".py", ".j2", ".css", ".js")}
    expected = {name.removeprefix("capture/").replace("templates/", "traceana/templates/", 1) for name in names}
    assert expected - set(zipfile.ZipFile(wheel).namelist()) == set()
