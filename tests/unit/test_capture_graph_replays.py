"""CUDA graphs: a replay's kernels get what was recorded at the capture; shown by hand-made and by real traces."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hta.common.trace_parser import parse_trace_dataframe
from hta.configs.parser_config import ParserConfig
from traceana_capture.agent.call_notes import Calls
from traceana_capture.launcher.graph_replays import annotate_replays
from traceana_capture.launcher.publish import publish, record

REAL = Path(__file__).parents[1] / "traces" / "h200" / "pynccl-2r-graph" / "rank0.json.gz"
# What the folder's README tells of one step: its operations and the elements that a rank sends.
STEP = [("broadcast", 32768), ("_allgather_base", 131072)]
LAYER = [("all_to_all", 6291456), ("all_to_all", 2097152), ("allreduce", 2097152)]
CALLS = [*STEP, *LAYER, *LAYER, *LAYER]


def noted(name: str, elements: int) -> dict[str, Any]:
    keys = {"Collective name": name, "In msg nelems": elements, "Out msg nelems": elements, "dtype": "BFloat16"}
    keys |= {"Group size": 2, "Process Group Name": "pynccl0", "Process Group Ranks": "[0, 1]"}
    return keys | {"traceana backend": "pynccl", "traceana library": "NCCL 2.28.9"}


def graph(*calls: tuple[str, int]) -> list[dict[str, Any]]:
    return [noted(*call) for call in calls]


def launch(correlation: int) -> dict[str, Any]:
    return {"cat": "cuda_runtime", "name": "cudaGraphLaunch", "ts": 0, "dur": 1, "args": {"correlation": correlation}}


def kernel(operation: str, ts: float, correlation: int = 7) -> dict[str, Any]:
    name = f"ncclDevKernel_{operation}_RING_LL(args)"
    return {"cat": "kernel", "name": name, "ts": ts, "dur": 1, "args": {"correlation": correlation}}


def sizes(kernels: list[dict[str, Any]]) -> list[int | None]:
    return [k["args"].get("In msg nelems") for k in kernels]


def test_each_replay_gets_the_records_in_order_of_start() -> None:
    first = [kernel("SendRecv", 30), kernel("AllReduce_Sum_bf16", 20), kernel("SendRecv", 10)]
    second = [kernel("SendRecv", 40, 9), kernel("SendRecv", 50, 9), kernel("AllReduce_Sum_bf16", 60, 9)]
    gemm = kernel("x", 15) | {"name": "gemm"}
    outside = kernel("AllReduce_Sum_bf16", 70, 11)
    events = [launch(7), launch(9), gemm, *first, *second, outside]
    annotate_replays(events, [graph(("all_to_all", 1), ("all_to_all", 2), ("allreduce", 3))])
    assert sizes(first) == [2, 3, 1]
    assert sizes(second) == [1, 2, 3]
    assert sizes([gemm, outside]) == [None, None]


def test_a_call_is_told_by_what_nccl_names_its_kernel_after() -> None:
    """Broadcasts of uneven parts, one by each rank in one group, gather."""
    uneven = noted("_allgather_base", 8) | {"traceana kernel": "broadcast"}
    kernels = [kernel("AllGather", 10), kernel("Broadcast", 20)]
    annotate_replays([launch(7), *kernels], [[uneven, *graph(("_allgather_base", 5))]])
    assert sizes(kernels) == [5, 8]
    assert kernels[1]["args"]["Collective name"] == "_allgather_base"


@pytest.mark.parametrize(
    ("graphs", "size"),
    [
        ([graph(("allreduce", 5)), graph(("broadcast", 6))], 5),
        ([graph(("allreduce", 5)), graph(("allreduce", 5))], 5),
        ([graph(("allreduce", 5)), graph(("allreduce", 6))], None),
        ([graph(("allreduce", 5), ("allreduce", 5))], None),
        ([], None),
    ],
    ids=["told apart by operations", "two that agree", "two that differ", "another number of calls", "none recorded"],
)
def test_a_replay_that_could_be_two_graphs_stays_without_sizes(
    graphs: list[list[dict[str, Any]]], size: int | None
) -> None:
    replayed = kernel("AllReduce_Sum_bf16", 1)
    annotate_replays([launch(7), replayed], graphs)
    assert sizes([replayed]) == [size]


def test_calls_of_a_capture_are_kept_even_before_the_window() -> None:
    calls = Calls()
    calls.begin_graph()
    with calls.span(noted("allreduce", 0), 4, 4, 9):
        calls.end_graph()
    facts = calls.export()
    assert facts["calls"] == []
    assert [record(facts["keys"], facts["modules"], call) for call in facts["graphs"][0]] == [noted("allreduce", 4)]


# HTA's own use of pandas
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_hta_finds_pynccls_collectives_in_a_published_trace(tmp_path: Path) -> None:
    source = tmp_path / "1.json"
    source.write_bytes(gzip.decompress(REAL.read_bytes()))
    graphs = [[at, *sizes, None, -1] for at, sizes in enumerate(2 * [size] for _, size in CALLS)]
    facts = {
        "keys": [noted(*call) for call in CALLS],
        "calls": [],
        "host": [],
        "groups": {},
        "since": 0,
        "until": 0,
        "steps": [],
        "graphs": [graphs],
        "adapters": [],
        "faults": [],
        "pairs": [],
        "pairs_ended": "",
        "places": [],
        "modules": [],
    }
    source.with_suffix(".calls").write_text(json.dumps(facts))
    published = publish(source, tmp_path / "rank0.json.gz")
    assert published.backends == ("pynccl",)
    config = ParserConfig.enable_communication_args(ParserConfig.get_default_cfg().clone())
    _, table, symbols = parse_trace_dataframe(str(tmp_path / "rank0.json.gz"), config)
    names = table["name"].map(lambda code: str(symbols.sym_table[code]))
    kernels = table[names.str.startswith("ncclDevKernel")]
    assert len(kernels) == 4 * len(STEP + 3 * LAYER)
    seen = set(zip(kernels["collective_name"], kernels["in_msg_nelems"].astype(int), strict=True))
    assert seen == {*STEP, *LAYER}
    assert set(kernels["group_size"].astype(int)) == {2}


def test_a_graph_after_the_window_is_known_as_one_and_leaves_nothing() -> None:
    """Ranks whose windows ended at different times must agree on what is inside a graph."""
    calls = Calls()
    calls.finish()
    calls.begin_graph()
    assert calls.capturing
    with calls.span(noted("allreduce", 0), 4, 4, 9):
        calls.take_back()
    calls.end_graph()
    assert (calls.capturing, calls.graphs) == (0, [[]])


@pytest.mark.parametrize(("word", "op"), [("gather", "SendRecv"), ("scatter", "SendRecv"), ("no_such_word", "Generic")])
def test_a_word_that_no_kernel_names_costs_nothing(word: str, op: str) -> None:
    launch = {"cat": "cuda_runtime", "name": "cudaGraphLaunch", "ts": 0, "dur": 1, "args": {"correlation": 3}}
    kernel: dict[str, Any] = {"cat": "kernel", "name": f"ncclDevKernel_{op}", "ts": 1, "dur": 1}
    kernel["args"] = {"correlation": 3}
    record = {"traceana backend": "torch.distributed", "Collective name": word, "In msg nelems": 8}
    annotate_replays([launch, kernel], [[record]])
    assert kernel["args"]["In msg nelems"] == 8
