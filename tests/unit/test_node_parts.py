"""A run of several nodes: what each left of run.json is read as one, in one folder or in several."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from traceana_capture import runfile

from tests.synthetic import Call, Run, write_run
from traceana.pipeline import analyze
from traceana.report import RunReport
from traceana.settings import Settings
from traceana.trace.manifest import read_manifest

NCCL: dict[str, Any] = {"set": {}, "preset": [], "ranks": []}


def entry(rank: int, node: int, **other: Any) -> dict[str, Any]:
    known = {"rank": rank, "pid": 7, "host": f"gpu-{node}", "outcome": "complete", "reason": "", "bytes": 1}
    return known | {"file": f"rank{rank}.json.gz"} | other


def part(node: int, ranks: list[dict[str, Any]], **other: Any) -> dict[str, Any]:
    content = {"label": "run", "argv": ["torchrun", f"--node-rank={node}"], "exit_code": 0, "world_size": 4}
    times = {"started": f"2026-01-02T03:00:0{node}+00:00", "ended": f"2026-01-02T03:01:0{node}+00:00"}
    ours = {"node": f"gpu-{node}.{node}", "launch": "2 nodes", "launchers": 2, "ranks": ranks, "nccl": NCCL}
    return {"schema_version": 1, **content, **times, **ours, "versions": {"nccl": "2.28"}, **other}


def put(folder: Path, content: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / runfile.part_name(content["node"])).write_text(json.dumps(content))


FIRST, SECOND = part(0, [entry(0, 0), entry(1, 0)]), part(1, [entry(2, 1), entry(3, 1)])


def test_parts_are_one_run(tmp_path: Path) -> None:
    put(tmp_path, SECOND | {"exit_code": 3})
    put(tmp_path, FIRST)
    found = read_manifest(tmp_path)
    assert found.hosts == {0: "gpu-0", 1: "gpu-0", 2: "gpu-1", 3: "gpu-1"}
    assert found.notes == ("the command ended with exit code 3 on gpu-1.1",)
    assert found.setup is not None
    assert (found.setup.argv[1], found.setup.exit_code, found.setup.missing) == ("--node-rank=0", 3, ())
    assert found.setup.started == FIRST["started"]


@pytest.mark.parametrize(
    ("second", "note"),
    [
        (SECOND | {"window": {"steps": 3}}, ""),
        (SECOND | {"launch": "3 nodes"}, "different runs (2 nodes on gpu-0.0; 3 nodes on gpu-1.1)"),
        (SECOND | {"started": "2026-01-02T03:05:00+00:00"}, "gpu-1.1 began after that of gpu-0.0 had ended"),
        (SECOND | {"started": "yesterday", "ended": 5}, ""),
        (SECOND | {"ranks": [entry(0, 1)]}, "rank 0 ran on gpu-0.0 and on gpu-1.1"),
        (SECOND | {"versions": {"nccl": "2.20"}}, "the version of nccl: 2.28 on gpu-0.0; 2.20 on gpu-1.1"),
        (SECOND | {"environment": {"NCCL_ALGO": "Ring"}}, ""),
        (SECOND | {"nccl": "broken", "ranks": 3}, ""),
    ],
)
def test_what_parts_do_not_agree_in_is_said(tmp_path: Path, second: dict[str, Any], note: str) -> None:
    put(tmp_path, FIRST)
    put(tmp_path, second)
    assert note in " ".join(read_manifest(tmp_path).notes) if note else read_manifest(tmp_path).notes == ()


def test_windows_that_differ_are_named(tmp_path: Path) -> None:
    put(tmp_path, FIRST | {"window": {"steps": 3}})
    put(tmp_path, SECOND | {"window": {"steps": 5}})
    assert read_manifest(tmp_path).notes == ("nodes differ in the window's steps: 3 on gpu-0.0; 5 on gpu-1.1",)


def test_any_world_size_may_be_stated(tmp_path: Path) -> None:
    put(tmp_path, FIRST | {"world_size": 10**15})
    setup = read_manifest(tmp_path).setup
    assert setup is not None
    assert len(setup.missing) < 100_000


def of_folders(*folders: Path) -> RunReport:
    found = analyze(list(folders), Settings(workers=1, cache=False), lambda _done, _all, _name: None)
    assert len(found.report.runs) == 1
    return found.report.runs[0]


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("lost", [False, True])
def test_a_run_is_joined_wherever_its_nodes_left_it(tmp_path: Path, apart: bool, lost: bool) -> None:
    """In the folder that they share or in local ones; where a node's part is lost, the rest stands."""
    write_run(tmp_path / "all", Run(world_size=4, calls=(Call(op="all_reduce", nelems=4096),)))
    for node, content in enumerate((FIRST, SECOND)):
        folder = tmp_path / "traces" / (f"node{node}/run" if apart else "run")
        if not (lost and node):
            put(folder, content)
            for rank in content["ranks"]:
                (tmp_path / "all" / f"rank{rank['rank']}.json.gz").rename(folder / f"rank{rank['rank']}.json.gz")
    run = of_folders(tmp_path / "traces")
    assert run.label == "run"
    assert [(rank.rank, rank.host) for rank in run.ranks] == [(0, "gpu-0"), (1, "gpu-0"), (2, "gpu-1"), (3, "gpu-1")][
        : 2 if lost else 4
    ]
    assert run.missing_ranks == ((2, 3) if lost else ())
    notes = " ".join(run.coverage.notes)
    assert ("1 of 2 nodes left a part of run.json: gpu-0.0" in notes) == lost
    assert run.setup is not None
    assert [(missing.rank, re.sub(";.*", "", missing.reason)) for missing in run.setup.missing] == (
        [(rank, "no part of its node is here") for rank in (2, 3)] if lost else []
    )


def test_folders_whose_launchers_knew_of_one_node_alone_lack_no_rank(tmp_path: Path) -> None:
    """As when a script hides from both that there are two."""
    write_run(tmp_path / "all", Run(world_size=2, calls=(Call(op="all_reduce", nelems=4096),)))
    for node in (0, 1):
        folder = tmp_path / f"node{node}" / "run"
        folder.mkdir(parents=True)
        (tmp_path / "all" / f"rank{node}.json.gz").rename(folder / f"rank{node}.json.gz")
        absent = entry(1 - node, 0, pid=None, host=None, outcome="missing", reason="never appeared", file=None)
        content = part(node, [entry(node, node), absent]) | {"node": None, "launch": None, "launchers": None}
        (folder / runfile.NAME).write_text(json.dumps(content))
    run = of_folders(tmp_path / "node0", tmp_path / "node1")
    assert [rank.host for rank in run.ranks] == ["gpu-0", "gpu-1"]
    assert run.setup is not None
    assert run.setup.missing == ()


def test_a_trace_that_is_called_as_a_part_is_a_trace(tmp_path: Path) -> None:
    write_run(tmp_path / "run", Run(world_size=1, calls=(Call(op="all_reduce", nelems=64),)))
    (tmp_path / "run" / "rank0.json.gz").rename(tmp_path / "run" / "run.0.json")
    assert [rank.rank for rank in of_folders(tmp_path / "run").ranks] == [0]
