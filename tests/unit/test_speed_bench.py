"""The benchmark's parts that can be wrong without anybody noticing: growing traces and measuring processes."""

import json
from pathlib import Path

import pytest

from tests.bench import process
from tests.bench.grow import text_of, write_copies, write_damaged
from tests.bench.process import cost_of
from tests.traces import base
from traceana.trace.file import TraceFile


@pytest.mark.parametrize("data", [base.pretty(base.good()), json.dumps(base.good()).encode()])
def test_copies_follow_each_other(tmp_path: Path, data: bytes) -> None:
    source, target = tmp_path / "rank0.json", tmp_path / "grown.json.gz"
    source.write_bytes(data)
    size = write_copies(source, target, 3)
    content = json.loads(text_of(target))
    kernels = base.kernels_of(content)
    times = [float(str(kernel["ts"])) for kernel in kernels]
    links = [kernel["args"]["correlation"] for kernel in kernels if isinstance(kernel["args"], dict)]
    assert size == len(text_of(target))
    assert len(kernels) == 3 * base.KERNELS
    assert times == sorted(times)
    assert len(set(links)) == len(links)


def test_copies_need_kinetos_layout(tmp_path: Path) -> None:
    source = tmp_path / "rank0.json"
    source.write_text("[]")
    with pytest.raises(ValueError, match="Kineto"):
        write_copies(source, tmp_path / "grown.json.gz", 2)


def test_damage_is_in_every_event_with_arguments(tmp_path: Path) -> None:
    source, target = tmp_path / "rank0.json", tmp_path / "damaged.json.gz"
    source.write_bytes(base.pretty(base.good()))
    write_damaged(source, target, [b'"odd": NaN, ', b'"odd": 1,5, '])
    read = TraceFile(target)
    events = [event for chunk in read.chunks() for event in chunk.events]
    whole = [event for chunk in TraceFile(source).chunks() for event in chunk.events]
    assert len(events) == len(whole)
    assert read.damage.repaired_events == sum(bytes(event.args).strip(b"{} ") != b"" for event in whole)


def test_memory_of_children_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The child holds it until somebody looked."""
    held, seen = tmp_path / "held", tmp_path / "seen"
    look = process._tree_bytes

    def looked(pid: int) -> tuple[int, int]:
        ready = held.exists()
        found = look(pid)
        if ready:
            seen.touch()
        return found

    monkeypatch.setattr(process, "_tree_bytes", looked)
    child = (
        "import pathlib, sys, time; x = bytearray(200 << 20); pathlib.Path(sys.argv[1]).touch()\n"
        "while not pathlib.Path(sys.argv[2]).exists(): time.sleep(0.01)"
    )
    parent = "import subprocess, sys; subprocess.run([sys.executable, '-c', *sys.argv[1:]], check=True)"
    cost = cost_of(["-c", parent, child, str(held), str(seen)], repeats=1)
    assert cost.peak_mib > 200
    assert 200 < cost.peak_anonymous_mib <= cost.peak_mib


def test_a_failing_command_is_said() -> None:
    with pytest.raises(SystemExit, match="nonsense"):
        cost_of(["-c", "raise ValueError('nonsense')"], repeats=1)
