"""Calls by issuing module and by parallel axis: as capture wrote it, by FSDP's spans, by Python's stacks."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pyarrow.parquet as parquet
import pytest
from msgspec.structs import replace

from tests import reports
from tests.analysis import analyze
from tests.simulation import Truth, side
from tests.synthetic.kineto import CollectiveArgs, Event, EventWriter, Group, write_document
from tests.traces.base import ALL_REDUCE, START_NS, finish
from traceana.analyze.calls import Calls
from traceana.analyze.layers import axes, layer_calls
from traceana.analyze.measure import measure_rank
from traceana.axes import axis_of
from traceana.saved import calls as saved_calls
from traceana.saved.output import CALLS
from traceana.trace.columns import ModuleName

US = 1_000
TP = Group(name="3", description="mesh_tp", ranks=(0, 1))
METADATA = CollectiveArgs(name="allreduce", in_nelems=4096, out_nelems=4096, dtype="BFloat16", group=TP)


def call(writer: EventWriter, at_us: int, args: Mapping[str, object] = MappingProxyType({})) -> None:
    """An all-reduce whose kernel is launched at the time of `at_us`, inside what c10d says of it."""
    at = START_NS + at_us * US
    said = METADATA.as_args() | dict(args)
    external = writer.host_span("cpu_op", "record_param_comms", at - US, 3 * US, said)
    writer.activity("kernel", ALL_REDUCE, at + 40 * US, 5 * US, external_id=external, args=METADATA.as_args())
    launch = next(event for event in reversed(writer.events) if event["cat"] == "cuda_runtime")
    launch["ts"] = at / 1000


def modules(folder: Path, writer: EventWriter, *, stacks: bool = False) -> list[ModuleName | None]:
    path = folder / "rank0.json"
    write_document(path, ({"with_stack": 1} if stacks else {}) | finish(writer, TP))
    found = measure_rank(path).collectives
    return [(*found.modules, None)[index] for index in found.module.tolist()]


def test_what_capture_wrote_is_the_calls_module(tmp_path: Path) -> None:
    writer = EventWriter(rank=0)
    written = {"traceana module": "blocks.3.attn", "traceana module class": "Attention", "traceana layer": "Block"}
    call(writer, 0, written)
    call(writer, 50)
    assert modules(tmp_path, writer) == [ModuleName(path="blocks.3.attn", kind="Attention", layer="Block"), None]


def test_fsdps_span_names_the_module_whose_parameters_are_sent(tmp_path: Path) -> None:
    """It is issued inside the module before."""
    writer = EventWriter(rank=0)
    writer.host_span("user_annotation", "FSDP::all_gather (blocks.4)", START_NS - 5 * US, 20 * US)
    call(writer, 0, {"traceana module": "blocks.3", "traceana module class": "Block"})
    assert modules(tmp_path, writer) == [ModuleName(path="blocks.4", kind=None, layer=None)]


def frame(writer: EventWriter, name: str, begin_us: int, end_us: int) -> None:
    writer.host_span("python_function", f"nn.Module: {name}", START_NS + begin_us * US, (end_us - begin_us) * US)


def operator(writer: EventWriter, name: str, begin_us: int, number: int, *, forward: int = 0, tid: int = 0) -> None:
    args: Event = {"Sequence number": number, "Fwd thread id": forward}
    writer.host_span("cpu_op", name, START_NS + begin_us * US, 8 * US, args)
    writer.events[-1]["tid"] = tid or writer.pid


def test_stacks_tell_modules_and_sequence_numbers_those_of_the_backward(tmp_path: Path) -> None:
    writer = EventWriter(rank=0)
    frame(writer, "Model_0", 0, 400)
    for layer in range(2):
        frame(writer, f"Block_{layer}", 100 * layer, 100 * layer + 90)
        frame(writer, f"Linear_{layer}", 100 * layer + 10, 100 * layer + 40)
        operator(writer, "Copy", 100 * layer + 12, 7 + layer)
        # It makes no function of its own, so it has the number of the next one that does.
        operator(writer, "aten::empty", 100 * layer + 60, 8 + layer)
        call(writer, 100 * layer + 20)
    for place, layer in enumerate((1, 0)):
        begin = 500 + 100 * place
        operator(writer, "autograd::engine::evaluate_function: CopyBackward", begin, 7 + layer, forward=1, tid=77)
        call(writer, begin + 2)
        for event in writer.events[-5:]:
            event["tid"] = 77 if event.get("cat") in ("cpu_op", "cuda_runtime") else event["tid"]
    first, second = (ModuleName(path=f"Block.{layer}.Linear", kind="Linear", layer="Block") for layer in range(2))
    assert modules(tmp_path, writer, stacks=True) == [first, second, second, first]


def simulated(*names: ModuleName) -> Calls:
    calls = side("a", Truth(repeats=1, steps=3), np.random.default_rng(1)).runs[0].calls
    return replace(calls, module=np.arange(len(calls)) % (len(names) + 1) - 1, modules=names)


def block(number: int) -> ModuleName:
    return ModuleName(path=f"blocks.{number}.to_out.0", kind="Linear", layer="Block")


def test_layers_of_one_class_are_one_row_that_opens_to_the_single_ones() -> None:
    calls = simulated(block(0), block(1), ModuleName(path="head", kind="Linear", layer=None))
    everything = np.ones(len(calls), dtype=np.bool_)
    rows = {row.path: row for row in layer_calls(calls, everything)}
    blocks, head = rows["blocks.*.to_out.0"], rows["head"]
    assert (blocks.layer, blocks.layers, blocks.module) == ("Block", 2, "Linear")
    assert (head.layer, head.layers, len(head.modules)) == (None, 0, 1)
    assert {module.path for module in blocks.modules} == {"blocks.0.to_out.0", "blocks.1.to_out.0"}
    for name in ("count", "sum_ns", "exposed_ns", "wait_ns"):
        assert getattr(blocks, name) == sum(getattr(module, name) for module in blocks.modules)
    # Those of no known module are in no row.
    assert blocks.count + head.count == int((calls.module >= 0).sum()) < len(calls)


def test_calls_by_axis_are_all_calls() -> None:
    calls = simulated()
    assert [(row.axis, row.count) for row in axes(calls)] == [(None, len(calls))]
    told = replace(calls, signatures=tuple(replace(one, axis="TP") for one in calls.signatures))
    ((row),) = axes(told)
    assert (row.axis, row.groups, row.group_sizes) == ("TP", 1, (4,))
    assert row.sum_ns == int(calls.duration_ns.sum())


def test_the_report_has_modules_and_axes_and_the_table_has_them_too(tmp_path: Path) -> None:
    writer = EventWriter(rank=0)
    call(writer, 0, {"traceana module": "blocks.3.attn", "traceana module class": "Attention"})
    write_document(tmp_path / "rank0.json", finish(writer, TP))
    outcome = analyze(tmp_path / "out", tmp_path / "rank0.json")
    assert outcome.exit_code == 0, outcome.stderr
    (operation,) = outcome.run["operations"]
    (row,) = operation["layers"]
    assert (operation["axes"], row["path"], row["layers"]) == (["TP"], "blocks.*.attn", 1)
    assert [(axis["axis"], axis["count"]) for axis in outcome.run["axes"]] == [("TP", 1)]
    (told,) = parquet.read_table(tmp_path / "out" / CALLS).to_pylist()
    assert (told["module"], told["module_class"], told["layer"], told["axis"]) == (
        "blocks.3.attn",
        "Attention",
        None,
        "TP",
    )


def test_a_table_of_before_there_were_modules_is_read(tmp_path: Path) -> None:
    run = side("a", Truth(repeats=1, steps=3), np.random.default_rng(1)).runs[0]
    run = replace(run, report=reports.report(run.report).runs[0])
    table = saved_calls.table([run]).drop_columns(["axis", "module", "module_class", "layer"])
    read = saved_calls.calls(table, run.report.label)
    assert (set(read.module.tolist()), read.modules) == ({-1}, ())


@pytest.mark.parametrize(
    ("description", "axis"),
    [
        ("tp:device", "TP"),
        ("mesh_tp", "TP"),
        ("TENSOR_MODEL_PARALLEL_GROUP", "TP"),
        ("mesh_dp_shard_cp", "DP+CP"),
        ("DATA_PARALLEL_GROUP_WITH_CP", "DP+CP"),
        ("pipeline", "PP"),
        ("EXPERT_MODEL_PARALLEL_GROUP", "EP"),
        ("moe_ep:0", "EP"),
        ("sp_group:0", "SP"),
        ("ulysses", "Ulysses"),
        ("ring", "ring"),
        ("cfg:device", "CFG"),
        ("default_pg", None),
        ("undefined", None),
        ("world", None),
        ("mesh_dim_0", None),
        (None, None),
    ],
)
def test_the_axis_is_told_by_words_of_the_description(description: str | None, axis: str | None) -> None:
    assert axis_of(description) == axis
