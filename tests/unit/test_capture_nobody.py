"""Why no rank appeared, from what was seen of the command's processes."""

from pathlib import Path

import pytest
from traceana_capture.early import early
from traceana_capture.launcher.nobody import Sighting, Watch, why
from traceana_capture.runfile import Rank

from tests.capturing import run
from traceana.units import number_ranges


def seen(
    *argv: str, torch: str | None = None, ray: bool = False, inherits: bool = True, autoload: bool = True
) -> Sighting:
    return Sighting(argv=argv, torch=torch, ray=ray, inherits=inherits, autoload=autoload)


@pytest.mark.parametrize(
    ("sighting", "words"),
    [
        (seen("python3.11", "-I", "train.py", torch="2.13.0"), "python -I passes over PYTHONPATH"),
        (seen("/usr/bin/python", "-Es", "train.py"), "python -Es passes over PYTHONPATH"),
        (seen("python", "train.py", torch="2.13.0", autoload=False), "TORCH_DEVICE_BACKEND_AUTOLOAD=0 keeps capture"),
        (seen("python", "train.py", torch="2.4.1+cu121"), "torch 2.4.1+cu121 is too old"),
        (seen("python", "train.py", torch="2.9.0", inherits=False), "did not inherit the environment"),
        (seen("python", "train.py", torch="2.9.0"), "came without PYTHONPATH"),
        (seen("ssh", "node1", "python", "train.py"), "what ssh starts elsewhere inherits nothing"),
        (seen("/usr/bin/python", "/opt/bin/ray", "job", "submit"), "Ray's workers are started by its daemon"),
        (seen("python", "train.py", "-I"), "no process of the command was seen to import torch"),
        (seen("bash", "run.sh"), "no process of the command was seen to import torch"),
    ],
)
def test_the_reason_is_told_with_what_to_do(sighting: Sighting, words: str) -> None:
    assert words in why([seen("bash"), sighting], {}, {})


def test_what_processes_said_themselves_comes_first() -> None:
    found = why([seen("python", "-I", "other.py", torch="2.13.0")], {1: "2.13.0", 2: "2.13.0"}, {})
    assert found.startswith("torch was imported in 2 processes, and none set up torch.distributed")


def test_a_driver_of_ray_says_what_its_workers_need() -> None:
    found = why([seen("python", "driver.py", torch="2.13.0", ray=True)], {1: "2.13.0"}, {})
    assert "give ray.init a runtime_env with env_vars PYTHONPATH and TRACEANA_CAPTURE of os.environ" in found


def test_the_runs_own_variable_is_known_without_a_sighting() -> None:
    assert "AUTOLOAD=0" in why([], {}, {"TORCH_DEVICE_BACKEND_AUTOLOAD": "0"})


def test_a_process_is_seen_with_its_torch(tmp_path: Path) -> None:
    process, site = tmp_path / "42", tmp_path / "site packages"
    process.mkdir()
    (site / "torch").mkdir(parents=True)
    (site / "torch" / "version.py").write_text("__version__ = '2.4.1'\n")
    (process / "cmdline").write_text("python\0train.py\0")
    (process / "environ").write_text("A=1\0TORCH_DEVICE_BACKEND_AUTOLOAD=0\0")
    (process / "maps").write_text(
        f"7f00-7f01 r-xp 00000000 08:01 1   {site}/torch/lib/libtorch_cpu.so\n7f02-7f03 r /ray/_raylet.so\n"
    )
    watch = Watch(lambda: [42, 43], tmp_path)
    watch._next = 0.0
    watch.look()
    assert watch.seen == {42: seen("python", "train.py", ray=True, torch="2.4.1", inherits=False, autoload=False)}
    (process / "cmdline").write_text("other\0")
    watch.look()
    assert watch.seen[42].argv == ("python", "train.py"), "it was not time to look again"


def test_a_command_without_torch_is_told_so(tmp_path: Path) -> None:
    code, _, stderr = run(tmp_path, ["true"])
    assert code == 0
    assert "no rank appeared: no process of the command was seen to import torch" in stderr


def rank(number: int, reason: str, lasted_s: float | None = 7.61, steps: str = "") -> Rank:
    return Rank(
        rank=number,
        pid=1,
        host="h",
        outcome="complete",
        reason=reason,
        file="f",
        bytes=1,
        lasted_s=lasted_s,
        still_to_come=steps,
    )


@pytest.mark.parametrize(
    ("reason", "steps", "said"),
    [
        (
            "--max-collectives were recorded",
            "",
            "the window closed early after 7.6 s, because --max-collectives were recorded; ask for more with "
            "--max-collectives",
        ),
        (
            "the duration was over",
            "3 of --steps 5",
            "the window closed early after 7.6 s, because the duration was over, with 3 of --steps 5 recorded; ask for "
            "more with --duration",
        ),
        (
            "the process ended",
            "1 of --steps 5",
            "the window closed early after 7.6 s, because the program or its process group ended, with 1 of --steps 5 "
            "recorded; ask for fewer steps",
        ),
        ("the duration was over", "", None),
        ("the steps were over", "", None),
        ("the process ended", "\x1b[31m of --steps 9", None),
    ],
)
def test_a_window_that_ended_early_is_named_with_a_remedy(reason: str, steps: str, said: str | None) -> None:
    found = early([rank(0, reason, 8.0, steps), rank(1, reason, steps=steps)])
    assert {text: number_ranges(ranks) for text, ranks in found.items()} == ({} if said is None else {said: "0–1"})


def test_the_programs_own_profiler_is_named_without_a_time_that_is_not_known() -> None:
    (said,) = early([rank(0, "the program started its own profiler", None)])
    assert said.startswith("the window closed early, because the program started its own profiler")
