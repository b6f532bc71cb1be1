"""What capture and rescue say that is to be done next."""

import json
from pathlib import Path

import pytest

from traceana.commands.next_step import say_next


def part(run: Path, node: str | None, launchers: int | None) -> None:
    run.mkdir(exist_ok=True)
    name = "run.json" if node is None else f"run.{node}.json"
    (run / name).write_text(json.dumps({"schema_version": 1, "node": node, "launchers": launchers}))


def said(run: Path, capsys: pytest.CaptureFixture[str]) -> str:
    say_next(run)
    (line,) = capsys.readouterr().err.splitlines()
    return line.removeprefix("traceana: next: ")


@pytest.mark.parametrize(
    ("nodes", "launchers"), [((None,), None), (("gpu-0", "gpu-1"), 2), (("gpu-0",), None), (("gpu-0",), 1)]
)
def test_a_run_that_is_all_there_is_analyzed(
    nodes: tuple[str | None, ...], launchers: int | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for node in nodes:
        part(tmp_path / "a run", node, launchers)
    assert said(tmp_path / "a run", capsys) == f"traceana analyze '{tmp_path}/a run'"


def test_while_another_node_is_at_it_its_folder_is_shared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    part(tmp_path / "run", "gpu-0", 2)
    (tmp_path / ".run@gpu-1.scratch").mkdir()
    assert said(tmp_path / "run", capsys) == f"traceana analyze {tmp_path}/run"


def test_parts_on_disks_of_their_nodes_are_collected_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    part(run, "gpu-0", 3)
    assert said(run, capsys) == (
        f"traceana analyze {run}, once the parts of all 3 nodes are there, of which gpu-0 alone is; from each other "
        f"NODE with a disk of its own: scp -r 'NODE:{run}/*' {run}/"
    )
