"""Which backend is fastest, where that changes, and the sizes that are measured."""

from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

import traceana
from traceana.bench.models import MODELS, messages, messages_of, sequence_length
from traceana.bench.plan import parse_size, sizes
from traceana.bench.verdicts import judged
from traceana.errors import TraceanaError
from traceana.report.bench import BenchRow


def row(backend: str, size: int, ns: float, seed: int, *, spread: float = 0.01, graph: bool = False) -> BenchRow:
    blocks = np.random.default_rng(seed).normal(ns, spread * ns, 7)
    return BenchRow(
        op="all_reduce",
        message_bytes=size,
        dtype="bfloat16",
        backend=backend,
        graph=graph,
        in_place=False,
        calls=140,
        p50_ns=round(ns),
        p95_ns=round(ns),
        p99_ns=round(ns),
        algbw_gbps=size / ns,
        busbw_gbps=size / ns,
        launch_ns=None,
        blocks_ns=tuple(round(one) for one in blocks),
        checked=True,
    )


def test_the_fastest_is_named_where_it_is_certain_and_the_change_lies_between_two_sizes() -> None:
    rows = [row("torch", 1024, 20_000, 1), row("pynccl", 1024, 10_000, 2)]
    rows += [row("torch", 1 << 20, 50_000, 3), row("pynccl", 1 << 20, 50_000, 4)]
    rows += [row("torch", 1 << 24, 100_000, 5), row("pynccl", 1 << 24, 150_000, 6)]
    result = judged(rows)
    found = result.verdicts
    assert [(one.best, one.certain) for one in (found[0], found[2])] == [("pynccl", True), ("torch", True)]
    assert not found[1].certain
    assert found[0].ci_low < 2 < found[0].ci_high
    change = result.crossovers
    assert [(one.smaller, one.larger, one.from_bytes, one.to_bytes) for one in change] == [
        ("pynccl", "torch", 1024, 1 << 24)
    ]


def test_a_change_lies_where_the_lines_between_sizes_cross() -> None:
    rows = [row("torch", 1 << 20, 20_000, 1), row("pynccl", 1 << 20, 10_000, 2)]
    rows += [row("torch", 1 << 24, 100_000, 5), row("pynccl", 1 << 24, 200_000, 6)]
    (change,) = judged(rows).crossovers
    # Half as long at one end and twice as long at the other: equal in the middle, which is 4 MiB.
    assert change.at_bytes == pytest.approx(1 << 22, rel=0.1)
    assert 1 << 20 < change.low_bytes < change.at_bytes < change.high_bytes < 1 << 24


def test_backends_that_are_alike_lead_together_and_another_takes_over_from_both() -> None:
    times = {"torch": (10_000, 20_000, 80_000), "pynccl": (10_010, 20_020, 80_080), "symm": (15_000, 20_050, 40_000)}
    rows = [
        row(name, 1 << 10 + 6 * place, ns, seed, spread=0.001)
        for seed, (name, of_name) in enumerate(times.items())
        for place, ns in enumerate(of_name)
    ]
    found = judged(rows)
    assert [set(one.leaders) for one in found.verdicts] == [{"torch", "pynccl"}, {"torch", "pynccl", "symm"}, {"symm"}]
    assert [one.certain for one in found.verdicts] == [False, False, True]
    (change,) = found.crossovers
    assert (change.smaller in ("torch", "pynccl"), change.larger) == (True, "symm")
    # Between 64 KiB, where they are equal, and 4 MiB: what counts is where symm was certainly slower last.
    assert (change.from_bytes, change.to_bytes) == (1 << 10, 1 << 22)
    assert change.low_bytes <= change.at_bytes <= change.high_bytes


def test_a_change_to_a_backend_that_has_not_all_sizes_lies_somewhere_between() -> None:
    rows = [row("custom", size, 10_000, size) for size in (1 << 10, 1 << 12)]
    rows += [row("torch", 1 << 12, 20_000, 4), row("torch", 1 << 16, 30_000, 5), row("pynccl", 1 << 16, 40_000, 6)]
    rows += [row("pynccl", 1 << 10, 20_000, 7)]
    (change,) = judged(rows).crossovers
    assert (change.from_bytes, change.to_bytes, change.at_bytes) == (1 << 12, 1 << 16, 1 << 14)


@pytest.mark.parametrize(
    ("pynccl_ns", "verdict"), [(20_000, "below"), (16_000, "within"), (8_000, "above"), (18_100, "cannot tell")]
)
def test_the_guide_stands_beside_what_was_measured(pynccl_ns: float, verdict: str) -> None:
    rows = [row("torch", 4 << 20, 20_000, 1), row("pynccl", 4 << 20, pynccl_ns, 2)]
    (check,) = judged(rows).guide
    assert (round(check.expected_low, 2), round(check.expected_high, 2)) == (1.11, 1.43)
    assert check.verdict == verdict


def test_equal_backends_are_seldom_told_apart() -> None:
    wrong = 0
    for seed in range(200):
        rows = [row(name, 4096, 20_000, 10 * seed + i, spread=0.05) for i, name in enumerate(("torch", "pynccl"))]
        wrong += judged(rows).verdicts[0].certain
    assert wrong <= 10


def test_graph_and_eager_calls_are_not_compared() -> None:
    assert judged([row("torch", 1024, 20_000, 1), row("torch", 1024, 5_000, 2, graph=True)]).verdicts == ()


def test_sizes_of_wan_are_those_of_its_shape() -> None:
    assert sequence_length(MODELS["wan-1.3b"], 832, 480, 81) == 21 * 30 * 52
    found = messages("wan-1.3b", "832x480", 81, 2, "bfloat16")
    assert [(one.op, one.message_bytes) for one in found][1] == ("all_to_all_4d", 32760 // 2 * 12 * 128 * 2)


def test_sizes_of_wan_are_those_of_a_captured_generation() -> None:
    calls = traceana.read(Path(__file__).parents[1] / "traces" / "sglang" / "wan-1.3b-2r").calls
    layers = calls[calls["site"] != "stage DecodingStage"]
    seen = set(zip(layers["op"], layers["message_bytes"], strict=True))
    found = messages("wan-1.3b", "832x480", 5, 2, "bfloat16")
    # On CPUs sglang sends query, key and value one by one; on GPUs it packs them, which torch-2r below has.
    packed = next(one for one in found if one.op == "all_to_all")
    assert seen == {(one.op, one.message_bytes) for one in found if "4d" not in one.op and one != packed}
    assert ("all_to_all", packed.message_bytes // 3) in seen
    assert len(layers) == 2 * 2 * (3 + 1 + 1)


def test_sizes_are_those_of_a_captured_block() -> None:
    # tests/traces/h200/torch-2r: 4096 tokens, 16 heads of 64, and query, key and value in one exchange.
    block = replace(MODELS["wan-1.3b"], heads=16, head_size=64)
    alone = [one.message_bytes for one in messages_of(block, 4096, 2, 2) if one.op == "all_to_all"]
    assert alone == [12 << 20, 4 << 20]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nix", "832x480", 81, 2), "there is no such model"),
        (("wan-1.3b", "832", 81, 2), "WIDTHxHEIGHT"),
        (("wan-1.3b", "832x480", 81, 5), "do not divide"),
    ],
)
def test_a_shape_that_cannot_be_says_why(arguments: tuple[str, str, int, int], message: str) -> None:
    with pytest.raises(TraceanaError, match=message):
        messages(*arguments, "bfloat16")


def test_sizes_are_read_and_counted() -> None:
    assert [parse_size(text) for text in ("512", "1K", "1MiB", "2g")] == [512, 1024, 1 << 20, 2 << 30]
    assert sizes(1024, 1 << 20, 4) == (1024, 4096, 16384, 65536, 262144, 1048576)
    for text in ("", "x", "1T", "²M", "0", "9" * 13):
        with pytest.raises(TraceanaError, match="size"):
            parse_size(text)
    with pytest.raises(TraceanaError, match="no size to measure"):
        sizes(2048, 1024, 2)
