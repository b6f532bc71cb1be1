"""`traceana bench` on two ranks of gloo, and a backend that gives wrong results."""

import json
from collections.abc import Callable
from functools import partial
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch

from tests import warm
from traceana.bench import measure
from traceana.bench.backends import Call, c10d, names
from traceana.bench.buffers import Buffers
from traceana.bench.plan import OPERATIONS, Message, Plan
from traceana.bench.world import World
from traceana.errors import TraceanaError


def bench(*arguments: str, code: int = 0) -> str:
    """What it says at its end, which has this exit code."""
    done = warm.run("-m", "traceana", "bench", *arguments)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr if code else done.stdout


def test_every_operation_is_measured_and_checked(tmp_path: Path) -> None:
    ops = [op for op in OPERATIONS if not op.startswith("all_to_all_4d")]
    kept = tmp_path / "bench.json"
    sizes = ("-b", "1K", "-e", "1K", "--iterations", "3", "--blocks", "3")
    report = json.loads(bench("--ranks", "2", "--op", ",".join(ops), *sizes, "--format", "json", "-o", str(kept)))
    assert json.loads(kept.read_text()) == report
    rows = report["rows"]
    assert [(row["op"], row["message_bytes"]) for row in rows] == [(op, 1024) for op in ops]
    assert {(row["backend"], row["graph"], row["checked"]) for row in rows} == {("torch", False, True)}
    for row in rows:
        assert 0 < row["p50_ns"] <= row["p95_ns"] <= row["p99_ns"]
        assert row["algbw_gbps"] == pytest.approx(row["message_bytes"] / row["p50_ns"])
    factors = {row["op"]: round(row["busbw_gbps"] / row["algbw_gbps"], 6) for row in rows}
    assert (factors["all_reduce"], factors["all_gather"], factors["all_to_allv"], factors["send_recv"]) == (
        1,
        0.5,
        0.5,
        1,
    )
    missing = {one["backend"]: one["reason"] for one in report["not_measured"]}
    assert set(missing) == set(names())
    assert missing["torch"] == "in a CUDA graph: that needs a GPU for each rank"
    assert "a GPU for each rank" in missing["pynccl"]
    assert "is not installed" in missing["sglang"]
    assert {"bench.json", "bench.html"} == {file.name for file in tmp_path.iterdir()}


def test_ulysses_exchange_of_a_model_is_right() -> None:
    shape = ("--model", "wan-1.3b", "--resolution", "64x64", "--frames", "5", "--backend", "torch")
    assert "all_to_all_4d" in bench("--ranks", "2", *shape, "--iterations", "3", "--blocks", "3")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--backend", "nix"), "there is no such backend; there are torch"),
        (("--backend", "pynccl"), "NCCL needs a GPU"),
        (("--op", "nix"), "measure any of"),
        (("-o", "bench.html"), "name the JSON, for example bench.json"),
        (("--emit", "nix=file"), "write KIND=FILE, with any of tuner, dispatch, shell"),
        (("-o", "nix/bench.json"), "there is no folder nix"),
        (("--model", "wan-1.3b"), "--op: --model wan-1.3b gives the messages itself"),
        (("--frames", "5"), "--frames: it gives the shape of a --model"),
    ],
)
def test_what_cannot_be_measured_is_one_line(arguments: tuple[str, ...], message: str) -> None:
    assert message in bench("--op", "all_reduce", "-b", "1K", "-e", "1K", *arguments, code=2)


class Deaf(c10d.C10d):
    """Leaves out what the last rank sends."""

    name = "deaf"

    def call(self, buffers: Buffers) -> Call | str:
        return Call(run=partial(buffers.target.copy_, buffers.source))


def alone(run: Callable[[World], Any], folder: Path) -> Any:
    """One rank's part of a group of two whose other rank is only thought of."""
    store = f"file://{folder / 'store'}"
    torch.distributed.init_process_group("gloo", init_method=store, rank=0, world_size=1)
    try:
        return run(World(rank=0, size=1, device=torch.device("cpu")))
    finally:
        torch.distributed.destroy_process_group()


def test_a_backend_that_drops_a_part_ends_the_bench(tmp_path: Path) -> None:
    class OfTwo(World):
        """Counts two ranks where there is one."""

    def run(world: World) -> None:
        plan = Plan(
            messages=(Message(op="all_reduce", message_bytes=1024),),
            backends=("deaf",),
            dtype="float32",
            graphs=(False,),
            in_place=False,
            iterations=3,
            blocks=3,
            imbalance=2.0,
            under_compute=False,
            warm_cache=False,
            seed=0,
        )
        measure.measure(plan, OfTwo(rank=world.rank, size=2, device=world.device))

    point = EntryPoint("deaf", f"{__name__}:Deaf", "traceana.backends")
    with (
        mock.patch("traceana.bench.backends.entry_points", return_value=[point]),
        pytest.raises(TraceanaError, match="deaf: all_reduce of 1024 bytes gave a wrong result"),
    ):
        alone(run, tmp_path)
