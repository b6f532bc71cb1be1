"""Where there is nothing to show, the notes say why."""

from collections.abc import Callable
from pathlib import Path

from tests.analysis import Outcome, analyze
from tests.synthetic.kineto import Event
from tests.traces import base


def write(path: Path, rank: int, keep: Callable[[Event], bool]) -> None:
    content = base.good(rank=rank)
    events = content["traceEvents"]
    assert isinstance(events, list)
    content["traceEvents"] = [event for event in events if keep(event)]
    path.mkdir(exist_ok=True)
    (path / f"rank{rank}.json").write_bytes(base.compact(content))


def on_host(event: Event) -> bool:
    return event.get("cat") not in ("kernel", "cuda_runtime", "ac2g")


def notes(outcome: Outcome) -> str:
    assert outcome.exit_code == 0, outcome.stderr
    text = "\n".join(outcome.run["coverage"]["notes"])
    assert all(f"mind: {note}" in outcome.stderr for note in outcome.run["coverage"]["notes"])
    return text


def test_a_forgotten_activity_is_told_from_silence(tmp_path: Path) -> None:
    for rank in range(2):
        write(tmp_path / "run", rank, on_host)
    text = notes(analyze(tmp_path / "report", tmp_path / "run"))
    assert "4 collectives were issued, the profiler recorded no GPU activity (ProfilerActivity.CUDA" in text


def test_one_rank_without_a_gpu_is_named(tmp_path: Path) -> None:
    write(tmp_path / "run", 0, lambda event: True)
    write(tmp_path / "run", 1, on_host)
    text = notes(analyze(tmp_path / "report", tmp_path / "run"))
    assert "rank 1: 2 collectives were issued, the profiler recorded no GPU activity" in text


def test_nothing_at_all_is_said(tmp_path: Path) -> None:
    write(tmp_path / "run", 0, lambda event: event.get("cat") == "user_annotation")
    assert "no GPU activity and no collective was recorded" in notes(analyze(tmp_path / "report", tmp_path / "run"))


def test_calls_whose_kernels_are_not_known_are_counted(tmp_path: Path) -> None:
    write(tmp_path / "run", 0, lambda event: "nccl" not in str(event.get("name")))
    text = notes(analyze(tmp_path / "report", tmp_path / "run"))
    assert "2 collectives were issued, and none of the 2 kernels is known to be theirs" in text


def test_compute_that_may_be_communication_is_named(tmp_path: Path) -> None:
    content = base.good(rank=0)
    text = base.compact(content).replace(b"nvjet", b"flagcx::ring_all_reduce")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "rank0.json").write_bytes(text)
    said = notes(analyze(tmp_path / "report", tmp_path / "run"))
    assert "count as compute, although the kernels' names have a collective's word in them: flagcx::ring_all_" in said
    assert "name them with --comm-kernel NAME=REGEX" in said
    told = analyze(tmp_path / "told", tmp_path / "run", "--compute-kernel", "flagcx")
    assert "count as compute" not in notes(told)


def test_a_pattern_that_matches_nothing_is_named(tmp_path: Path) -> None:
    write(tmp_path / "run", 0, lambda event: True)
    patterns = ("--comm-kernel", "mine=my_all_reduce_.*", "--comm-kernel", "theirs=nvjet")
    text = notes(analyze(tmp_path / "report", tmp_path / "run", *patterns))
    assert "--comm-kernel mine=my_all_reduce_.* matches no kernel of this run" in text
    assert "theirs=nvjet" not in text
