"""What is published of a run whose launcher was killed."""

import json
from pathlib import Path

import msgspec
from traceana_capture.launcher.options import Options
from traceana_capture.launcher.record import Plan
from traceana_capture.launcher.rescue import rescue
from traceana_capture.launcher.run_folder import ORDERED
from traceana_capture.leftover import PLAN


def test_a_window_that_was_removed_does_not_come_back(tmp_path: Path) -> None:
    scratch, folder = tmp_path / ".run.scratch", tmp_path / "run"
    scratch.mkdir()
    (folder / "window3").mkdir(parents=True)
    # Taken by one who was killed before the ranks had the order.
    (folder / "window4").mkdir()
    (folder / "window4" / ORDERED).touch()
    options = Options(argv=("serve",), nccl={}, every_s=1.0, keep=1)
    plan = Plan(options=options, label="run", repeat=None, started="", environment={})
    (scratch / PLAN).write_bytes(msgspec.json.encode(plan))
    about = {"rank": 0, "world_size": 1, "host": "h", "backend": "gloo", "versions": {}}
    messages = [{"event": "hello", "pid": 7, **about}]
    messages += [{"event": "recording", "pid": 7, "window": number} for number in (1, 2, 3)]
    (scratch / "messages").write_text("".join(json.dumps(message) + "\n" for message in messages))
    rescue(scratch)
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*")) == [
        "run.json",
        "window3",
        "window3/run.json",
    ]
