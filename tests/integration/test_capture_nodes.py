"""Two launchers, each as on a node of its own, that capture one run of two ranks."""

import os
import signal
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from traceana_capture import parts, runfile

from tests.analysis import analyze
from tests.capturing import Launched, complaints, finish, launch, survivors, wait_until
from tests.integration.gloo_tensor import TENSOR

NAMED = "import os, socket\nsocket.gethostname = lambda: 'gpu-' + os.environ['RANK']\n"
PROGRAM = f"""{NAMED}
import sys, time
import torch.distributed as dist
{TENSOR}
folder = sys.argv[1]
dist.init_process_group("gloo", init_method=f"file://{{folder}}/store", rank=int(os.environ["RANK"]), world_size=2)
for _ in range(3):
    dist.all_reduce(x)
open(f"{{folder}}/at-{{dist.get_rank()}}", "w").close()
while sys.argv[2:] and os.environ["RANK"] == "1":
    time.sleep(0.05)
"""


@pytest.fixture
def traces(tmp_path: Path) -> Path:
    return tmp_path / "traces"


def start(traces: Path, rank: int, *options: str, words: tuple[str, ...] = (), label: str = "run") -> Launched:
    command = [sys.executable, "-c", PROGRAM, str(traces.parent), *words]
    launcher = ("-c", f"{NAMED}import traceana.cli\ntraceana.cli.main()")
    with mock.patch.dict(os.environ, {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_PORT": "29500"}):
        return launch(traces, command, "--label", label, *options, launcher=launcher)


def read(folder: Path) -> tuple[runfile.FoundRun, tuple[str, ...]]:
    found = [runfile.read(path) for path in runfile.files(folder)]
    return parts.join(found), parts.notes(found)


def report(traces: Path) -> dict[str, Any]:
    found: dict[str, Any] = analyze(traces.parent / "report", traces).run
    return found


def test_two_launchers_leave_one_run(traces: Path) -> None:
    ended = [finish(launched, traces) for launched in [start(traces, rank) for rank in (0, 1)]]
    assert [(code, complaints(stderr)) for code, _, stderr in ended] == [(0, []), (0, [])]
    there, following = (
        f"traceana: the traces are in {traces / 'run'}",
        f"traceana: next: traceana analyze {traces / 'run'}",
    )
    said = [[line for line in stderr.splitlines() if line.startswith("traceana: ")] for _, _, stderr in ended]
    assert said == [[f"{there}: rank 0 of 2", following], [f"{there}: rank 1 of 2"]]
    assert sorted(path.name for path in traces.iterdir()) == ["run"]
    names = ["rank0.json.gz", "rank1.json.gz", "run.gpu-0.0.json", "run.gpu-1.1.json"]
    assert sorted(path.name for path in (traces / "run").iterdir()) == names
    run = report(traces)
    assert [(rank["rank"], rank["host"]) for rank in run["ranks"]] == [(0, "gpu-0"), (1, "gpu-1")]
    assert run["coverage"]["matched"] == run["coverage"]["collectives"] == 6
    assert run["setup"]["missing"] == []
    assert read(traces / "run")[1] == ()


def test_where_a_launcher_dies_the_other_nodes_ranks_stand(traces: Path) -> None:
    first, second = (start(traces, rank, words=("hang",)) for rank in (0, 1))
    wait_until(lambda: all((traces.parent / f"at-{rank}").exists() for rank in (0, 1)))
    os.kill(second.pid, signal.SIGKILL)
    assert finish(first, traces)[0] == 0
    assert finish(second, traces)[0] == -signal.SIGKILL
    # Its guard ends the command and publishes what there is.
    wait_until(lambda: not survivors(traces))
    run, notes = read(traces / "run")
    assert notes == ("the command ended with exit code 137 on gpu-1.1",)
    assert [(rank.rank, rank.outcome, rank.host) for rank in run.ranks] == [
        (0, "complete", "gpu-0"),
        (1, "complete", "gpu-1"),
    ]
    (traces / "run" / "run.gpu-1.1.json").unlink()
    (traces / "run" / "rank1.json.gz").unlink()
    told = report(traces)
    assert told["missing_ranks"] == [1]
    assert told["setup"]["missing"] == [{"rank": 1, "reason": parts.NO_PART}]
    assert "1 of 2 nodes left a part of run.json: gpu-0.0" in told["coverage"]["notes"]
