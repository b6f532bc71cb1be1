import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest
from traceana_capture.launcher.collect import Collected, collect
from traceana_capture.launcher.run_folder import Claim
from traceana_capture.launcher.status import Status
from traceana_capture.launcher.workers import Worker

EVENTS = [{"ph": "X", "cat": "cpu_op", "name": "aten::relu", "pid": 1, "tid": 1, "ts": 1.0, "dur": 2.0}]


@pytest.fixture
def claim(tmp_path: Path) -> Claim:
    (tmp_path / "run").mkdir()
    (tmp_path / ".run.scratch").mkdir()
    return Claim(folder=tmp_path / "run", scratch=tmp_path / ".run.scratch", lock=-1)


def worker(claim: Claim, pid: int, rank: int, content: str | None = None, *, world_size: int = 2) -> Worker:
    """A rank that exported; `content` replaces its good trace."""
    trace = claim.scratch / f"{pid}.1.json"
    trace.write_text(json.dumps({"traceEvents": EVENTS}) if content is None else content)
    lists = ("keys", "calls", "host", "graphs", "adapters", "faults", "pairs", "steps", "places", "modules")
    facts: dict[str, Any] = {name: [] for name in lists}
    facts |= {"groups": {}, "since": 0, "until": 0, "pairs_ended": ""}
    trace.with_suffix(".calls").write_text(json.dumps(facts))
    return Worker(pid=pid, rank=rank, world_size=world_size, host="host", backend="gloo", versions={}, trace=str(trace))


def collected(claim: Claim, *workers: Worker) -> Collected:
    return collect(workers, claim, (), Status())


def reasons(result: Collected) -> dict[int, str]:
    return {rank.rank: rank.reason for rank in result.ranks if rank.outcome == "missing"}


def test_a_good_trace_is_published_and_a_damaged_one_is_named(claim: Claim) -> None:
    result = collected(claim, worker(claim, 1, 0), worker(claim, 2, 1, '{"traceEvents": [{"ph"'))
    assert [(rank.rank, rank.outcome, rank.file) for rank in result.ranks] == [
        (0, "complete", "rank0.json.gz"),
        (1, "missing", None),
    ]
    assert "truncated" in reasons(result)[1]
    with gzip.open(claim.folder / "rank0.json.gz") as file:
        assert json.load(file)["traceEvents"] == EVENTS
    assert [path.name for path in claim.folder.iterdir()] == ["rank0.json.gz"]
    assert {path.name for path in claim.scratch.iterdir()} == {"outcome.1.1.json", "outcome.2.1.json"}


def test_what_is_not_as_we_wrote_it_is_named_too(claim: Claim) -> None:
    assert "KeyError('traceEvents')" in reasons(collected(claim, worker(claim, 1, 0, "{}", world_size=1)))[0]


def test_ranks_that_never_appeared_have_their_place(claim: Claim) -> None:
    assert reasons(collected(claim, worker(claim, 1, 1, world_size=3))) == {0: "never appeared", 2: "never appeared"}


def test_of_two_processes_with_one_rank_the_first_is_kept(claim: Claim) -> None:
    result = collected(claim, *(worker(claim, pid, 0, world_size=1) for pid in (7, 8)))
    assert [(rank.pid, rank.outcome) for rank in result.ranks] == [(7, "complete"), (8, "missing")]
    assert reasons(result)[0].startswith("process 7 was rank 0 too")


def test_an_interrupt_gives_up_what_is_not_done(claim: Claim) -> None:
    slow = worker(claim, 1, 0, world_size=1)
    assert slow.trace is not None
    Path(slow.trace).unlink()
    os.mkfifo(slow.trace)
    result = collect([slow], claim, [2], Status())
    assert reasons(result) == {0: "interrupted while it was compressed"}
    assert list(claim.folder.iterdir()) == []
