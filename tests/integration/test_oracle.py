"""Every figure of report.json that has a definition, against a second working-out from the raw traces."""

import ast
import copy
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import tests.oracle
from tests.analysis import figures
from tests.oracle.check import check
from tests.oracle.figures import read_run, wait_cells
from tests.synthetic import Call, Run, write_run
from tests.synthetic.kineto import BASE_TIME_NS
from tests.synthetic.play import FIRST_NS

TRACES = Path(__file__).parents[1] / "traces"
REAL = sorted(file.parent for file in TRACES.glob("h[12]00/*/rank0.json.gz"))
DRIFT_PPM = 400.0
PAIRS = ((0, 1), (2, 3))
RING = tuple((rank, (rank + 1) % 4) for rank in range(4))
REDUCE = Call(op="all_reduce", nelems=1 << 20, delays_ns={2: 150_000}, overlap_ns=100_000)
GROUPS = Call(op="all_gather", nelems=1 << 18, groups=PAIRS, delays_ns={1: 80_000})
SCATTER = Call(op="reduce_scatter", nelems=1 << 19, groups=((0, 2), (1, 3)))
ACROSS = Call(op="all_reduce", nelems=1 << 16, groups=((0, 2, 4), (1, 3, 5)), delays_ns={3: 60_000})
SEND = Call(op="send_recv", nelems=1 << 17, pairs=RING, delays_ns={1: 70_000})
STAGES = Call(op="send_recv", nelems=1 << 16, pairs=PAIRS, delays_ns={0: 30_000, 3: 50_000})
UNEVEN_EXCHANGE = Call(op="all_to_all", nelems=1000, sent=(90_000, 200_000, 310_000, 400_001))
UNEVEN_GATHER = Call(op="all_gather", nelems=1000, sent=(10_000, 20_000, 30_000, 40_000))
EXCHANGE = Call(op="all_to_all", nelems=1 << 21)
PLAIN = {
    "one host": Run(world_size=4, calls=(REDUCE, EXCHANGE, GROUPS)),
    "several groups": Run(world_size=4, calls=(GROUPS, SCATTER, REDUCE), sequence_numbers=True, end_jitter_ns=500),
    "late windows": Run(world_size=4, calls=(REDUCE, GROUPS), late_windows={1: 2, 3: 1}),
    "two hosts": Run(world_size=4, calls=(REDUCE, GROUPS), host_clocks_ns=(0, 3_000_000)),
    "two bases": Run(world_size=2, calls=(REDUCE, EXCHANGE), bases_differ=True),
    "no device": Run(world_size=2, calls=(Call(op="all_reduce", nelems=1 << 20),), gpu=None),
    "no metadata": Run(world_size=2, calls=(Call(op="all_reduce", nelems=1 << 20, metadata=False),)),
    "point to point": Run(world_size=4, calls=(REDUCE, SEND, GROUPS), end_jitter_ns=500),
    "pairs that only send to each other": Run(world_size=4, calls=(GROUPS, SEND), end_jitter_ns=500),
    "pipeline of two": Run(world_size=4, calls=(STAGES, REDUCE), sequence_numbers=True),
    "uneven sizes": Run(world_size=4, calls=(UNEVEN_EXCHANGE, UNEVEN_GATHER, REDUCE), end_jitter_ns=300),
    "lost events": Run(world_size=4, calls=(REDUCE, SEND, UNEVEN_GATHER, GROUPS), lost={1: frozenset({2, 9})}),
    "many hosts": Run(
        world_size=6, calls=(REDUCE, EXCHANGE, ACROSS), host_clocks_ns=(0, 5_000_000, -700_000), end_jitter_ns=2_000
    ),
}


def differences(traces: Path) -> list[tuple[str, object, object]]:
    findings = check(figures(traces), sorted(traces.glob("*.json.gz")))
    assert findings.compared > 50
    return findings.differing


@pytest.mark.parametrize("traces", REAL, ids=lambda folder: f"{folder.parent.name}-{folder.name}")
def test_real_traces(traces: Path) -> None:
    assert differences(traces) == []


@pytest.mark.parametrize("run", PLAIN.values(), ids=PLAIN)
def test_synthetic_runs(run: Run, tmp_path: Path) -> None:
    write_run(tmp_path / "traces", run)
    assert differences(tmp_path / "traces") == []


@pytest.mark.parametrize("run", PLAIN.values(), ids=PLAIN)
def test_oracle_finds_what_was_planted(run: Run, tmp_path: Path) -> None:
    truth = write_run(tmp_path, run)
    offsets = {rank: of_rank.clock_offset_ns for rank, of_rank in truth.ranks.items()}
    found = read_run(sorted(tmp_path.iterdir()), lambda rank, at: at - offsets[rank])
    assert sum(map(len, found.matched.sets)) == truth.matched
    for (rank, op), cell in wait_cells(found.all_calls).items():
        assert cell["wait_ns"] == sum(truth.waits(rank, op))


def test_clocks_that_drift(tmp_path: Path) -> None:
    run = Run(
        world_size=4, calls=(REDUCE, EXCHANGE, GROUPS), steps=12, host_clocks_ns=(0, 2_000_000), end_jitter_ns=400
    )
    run = replace(run, host_drifts_ppm=(0, DRIFT_PPM))
    write_run(tmp_path / "traces", run)

    def true_time(rank: int, at: int) -> int:
        told = at - run.clock_ns(rank)
        return told - run.drift_ns(rank, told - BASE_TIME_NS - FIRST_NS)

    found = figures(tmp_path / "traces")
    assert check(found, sorted((tmp_path / "traces").iterdir()), true_time, slack=0.02).differing == []
    assert abs(found["clock"]["drift_ppm"] - DRIFT_PPM) < 0.05 * DRIFT_PPM


@pytest.mark.parametrize(
    "path",
    [("ranks", 0, "idle_ns"), ("operations", 1, "duration_ns", "p95"), ("stragglers", 2, "times_last"),
     ("waits", 3, "wait_ns"), ("buckets", 0, "sum_ns"), ("call_sites", 0, "count"), ("steps", 1, "duration_ns"),
     ("spans", 0, "comm_ns"), ("coverage", "matched")],
    ids=lambda path: path[0],
)  # fmt: skip
def test_a_figure_that_is_off_by_one_is_found(path: tuple[Any, ...], tmp_path: Path) -> None:
    write_run(tmp_path / "traces", PLAIN["one host"])
    changed: Any = copy.deepcopy(figures(tmp_path / "traces"))
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
