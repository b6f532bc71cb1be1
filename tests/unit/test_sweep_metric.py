"""What of a run is compared, and what is said where a run does not have it."""

import json
from pathlib import Path

import pytest

from traceana.errors import TraceanaError
from traceana.sweep.metric import Finished, NoValue, last_time_ns, parse, read_dump, value_ns


def finished(
    folder: Path, text: str = "", gpus: int | None = 2, steps: tuple[float, ...] = (9.0, 2.0, 3.0, 4.0)
) -> Finished:
    log, dump = folder / "output.log", folder / "perf.json"
    log.write_text(text)
    content = {"total_duration_ms": 50.0, "steps": [], "denoise_steps_ms": [{"duration_ms": ms} for ms in steps]}
    dump.write_text(json.dumps(content))
    return Finished(wall_ns=7_000_000, gpus=gpus, log=log, dump=read_dump(dump))


@pytest.mark.parametrize(
    ("name", "milliseconds"),
    [("wall", 7), ("request", 50), ("step", 3), ("throughput", 100), (r"output:took (\S+)", 12), ("output:took", 12)],
)
def test_a_time_of_the_run(tmp_path: Path, name: str, milliseconds: int) -> None:
    run = finished(tmp_path, "step took 9 ms\nstep took 0.012 s, done\n")
    assert value_ns(parse(name, has_dump=True), run) == milliseconds * 1_000_000


def test_throughput_without_a_dump_is_of_the_command(tmp_path: Path) -> None:
    assert value_ns(parse("throughput", has_dump=False), finished(tmp_path)) == 14_000_000


def test_what_a_run_lacks_is_said(tmp_path: Path) -> None:
    with pytest.raises(NoValue, match="no time with its unit"):
        last_time_ns("took 5 apples", "took")
    with pytest.raises(NoValue, match="fewer than two denoising steps"):
        value_ns(parse("step", has_dump=True), finished(tmp_path, steps=(1.0,)))
    with pytest.raises(NoValue, match="no perf dump was written"):
        read_dump(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("speed", "choose wall, request"),
        ("request", "add --perf-dump-path"),
        ("output:(", "no regular expression"),
        ("output:(a)(b)", "one group"),
    ],
)
def test_what_is_no_metric(name: str, message: str) -> None:
    with pytest.raises(TraceanaError, match=message):
        parse(name, has_dump=False)
