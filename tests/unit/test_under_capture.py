"""A perf dump of a program that capture slowed says so, and is not held against one that was not slowed."""

import json
from pathlib import Path
from typing import Any

import pytest

from traceana.comparing.inputs import perf_sides
from traceana.comparing.perf_dumps import compare_perf_dumps
from traceana.trace.perf_dump import read_perf_dump

MEASURED = json.loads((Path(__file__).parents[1] / "perf_dumps" / "one-rank.json").read_text())


def dump(path: Path, written: str | None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(MEASURED | {"timestamp": written, "total_duration_ms": 2000.0}))
    return path


def run(folder: Path, **more: Any) -> None:
    """A command from 11:00:00 to 11:10:00 with a window of ten seconds from 11:05:00."""
    folder.mkdir(parents=True, exist_ok=True)
    rank = {"rank": 0, "pid": 1, "host": "h", "outcome": "complete", "reason": "", "file": "rank0.json.gz", "bytes": 1}
    file = {
        "schema_version": 1,
        "argv": ["sglang"],
        "started": "2026-11-24T11:00:00+00:00",
        "ended": "2026-11-24T11:10:00+00:00",
        "exit_code": 0,
        "window": {"opened": "2026-11-24T11:05:00+00:00"},
        "ranks": [rank | {"lasted_s": 10.0}],
    }
    (folder / "run.json").write_text(json.dumps(file | more))


@pytest.mark.parametrize(
    ("name", "written", "said"),
    [
        ("wan/perf.json", "2026-11-24T11:02:00+00:00", "it was made under capture, as a part of wan"),
        ("wan.json", "2026-11-24T11:02:00+00:00", "it was made under capture, as a part of wan"),
        ("wan-perf.json", None, "it was made under capture, as a part of wan"),
        ("wan.json", "2026-11-24T12:02:00+00:00", None),
        ("wan2.json", "2026-11-24T11:02:00+00:00", None),
        ("base.json", "2026-11-24T11:05:11+00:00", "capture recorded wan meanwhile"),
        ("base.json", "2026-11-24T11:05:13+00:00", None),
        ("base.json", "2026-11-24T11:04:59+00:00", None),
        ("base.json", "2026-11-24T11:05:05", None),
        ("base.json", "yesterday", None),
        ("base.json", "0001-01-01T00:00:00+00:00", None),
    ],
)
def test_a_dump_under_capture_or_in_an_open_window_is_marked(
    tmp_path: Path, name: str, written: str | None, said: str | None
) -> None:
    run(tmp_path / "wan")
    assert read_perf_dump(dump(tmp_path / name, written)).slowed == said


def test_a_later_window_and_a_command_that_goes_on_count_too(tmp_path: Path) -> None:
    run(tmp_path / "wan", exit_code=None)
    run(tmp_path / "wan" / "window2", window={"opened": "2026-11-24T11:30:00+00:00"})
    base = dump(tmp_path / "base.json", "2026-11-24T11:30:05+00:00")
    assert read_perf_dump(base).slowed == "capture recorded wan meanwhile"
    assert read_perf_dump(dump(tmp_path / "wan.json", "2026-11-24T12:00:00+00:00")).slowed


def test_one_slowed_side_gives_no_verdict_and_two_are_named(tmp_path: Path) -> None:
    run(tmp_path / "wan")
    slow = dump(tmp_path / "wan.json", "2026-11-24T11:02:00+00:00")
    plain = dump(tmp_path / "base.json", "2026-11-24T10:00:00+00:00")
    found = compare_perf_dumps(*perf_sides([(plain,), (slow,)]))
    assert found.reasons == (
        "only one side was made under capture, which slows it (wan.json)",
        "wan.json is slowed: it was made under capture, as a part of wan",
    )
    assert {row.verdict for row in found.end_to_end} == {"cannot tell"}
    run(tmp_path / "usp")
    both = compare_perf_dumps(*perf_sides([(slow,), (dump(tmp_path / "usp.json", "2026-11-24T11:02:02+00:00"),)]))
    assert [reason.partition(":")[0] for reason in both.reasons] == ["wan.json is slowed", "usp.json is slowed"]
