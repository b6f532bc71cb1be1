"""Every figure of report.json that has a definition, against a second working-out from the raw traces."""

import ast
import copy
import re
from pathlib import Path
from typing import Any

import pytest

import tests.oracle
from tests.analysis import analyze
from tests.oracle.check import check
from tests.oracle.figures import read_run, wait_cells
from tests.synthetic import Call, Run, write_run

TRACES = Path(__file__).parents[1] / "traces"
REAL = sorted(folder for folder in TRACES.glob("h[12]00/*") if folder.is_dir())
PAIRS = ((0, 1), (2, 3))
RING = tuple((rank, (rank + 1) % 4) for rank in range(4))
REDUCE = Call(op="all_reduce", nelems=1 << 20, delays_ns={2: 150_000}, overlap_ns=100_000)
GROUPS = Call(op="all_gather", nelems=1 << 18, groups=PAIRS, delays_ns={1: 80_000})
SCATTER = Call(op="reduce_scatter", nelems=1 << 19, groups=((0, 2), (1, 3)))
EXCHANGE = Call(op="all_to_all", nelems=1 << 21)
PLAIN = {
    "one host": Run(world_size=4, calls=(REDUCE, EXCHANGE, GROUPS)),
    "several groups": Run(world_size=4, calls=(GROUPS, SCATTER, REDUCE), sequence_numbers=True, end_jitter_ns=500),
    "late windows": Run(world_size=4, calls=(REDUCE, GROUPS), late_windows={1: 2, 3: 1}),
    "two hosts": Run(world_size=4, calls=(REDUCE, GROUPS), host_clocks_ns=(0, 3_000_000)),
    "two bases": Run(world_size=2, calls=(REDUCE, EXCHANGE), bases_differ=True),
    "no metadata": Run(world_size=2, calls=(Call(op="all_reduce", nelems=1 << 20, metadata=False),)),
}


def differences(folder: Path, traces: Path) -> list[tuple[str, object, object]]:
    findings = check(analyze(folder, traces).run, sorted(traces.glob("*.json.gz")))
    assert findings.compared > 50
    return findings.differing


@pytest.mark.parametrize("traces", REAL, ids=lambda folder: f"{folder.parent.name}-{folder.name}")
def test_real_traces(traces: Path, tmp_path: Path) -> None:
    assert differences(tmp_path, traces) == []


@pytest.mark.parametrize("run", PLAIN.values(), ids=PLAIN)
def test_synthetic_runs(run: Run, tmp_path: Path) -> None:
    write_run(tmp_path / "traces", run)
    assert differences(tmp_path / "report", tmp_path / "traces") == []


@pytest.mark.parametrize("run", PLAIN.values(), ids=PLAIN)
def test_oracle_finds_what_was_planted(run: Run, tmp_path: Path) -> None:
    truth = write_run(tmp_path, run)
    offsets = {rank: of_rank.clock_offset_ns for rank, of_rank in truth.ranks.items()}
    found = read_run(sorted(tmp_path.iterdir()), offsets)
    assert sum(map(len, found.matched.sets)) == truth.matched
    for (rank, op), cell in wait_cells(found.all_calls).items():
        assert cell["wait_ns"] == sum(truth.waits(rank, op))


@pytest.mark.parametrize(
    "path",
    [("ranks", 0, "idle_ns"), ("operations", 1, "duration_ns", "p95"), ("stragglers", 2, "times_last"),
     ("waits", 3, "wait_ns"), ("buckets", 0, "sum_ns"), ("call_sites", 0, "count"), ("steps", 1, "duration_ns"),
     ("spans", 0, "comm_ns"), ("coverage", "matched")],
    ids=lambda path: path[0],
)  # fmt: skip
def test_a_figure_that_is_off_by_one_is_found(path: tuple[Any, ...], tmp_path: Path) -> None:
    write_run(tmp_path / "traces", PLAIN["one host"])
    changed: Any = copy.deepcopy(analyze(tmp_path / "report", tmp_path / "traces").run)
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] += 1
    found = check(changed, sorted((tmp_path / "traces").iterdir())).differing
    assert {re.split(r"\W", name)[0] for name, _, _ in found} == {path[0]}


def test_oracle_shares_no_code_with_what_it_judges() -> None:
    for module in Path(tests.oracle.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(module.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(name.startswith("traceana") for name in names), module.name
