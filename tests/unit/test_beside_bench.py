"""A run's calls beside a bench, and what was never benched."""

from typing import Any

import pytest
from msgspec.structs import replace

from tests import benches, reports
from tests.page import Page
from traceana.analyze.beside_bench import beside_bench, in_words
from traceana.render.html import render
from traceana.render.text.beside_bench import beside_bench_tables
from traceana.report import Operation, RunReport, SteadyCalls
from traceana.report.bench import BenchReport

MIB = benches.MIB


def steady(operation: Operation, duration_ns: int, transfer_ns: int | None) -> Operation:
    calls = SteadyCalls(
        count=20,
        duration_ns=reports.distribution([duration_ns]),
        transfer_ns=None if transfer_ns is None else reports.distribution([transfer_ns]),
        wait_ns=None,
        busbw_gbps=None,
    )
    return replace(operation, steady=calls)


def ran(duration_ns: int = 3_000_000, transfer_ns: int | None = 2_400_000, **changed: Any) -> RunReport:
    """A run of all_to_all calls of 12 MiB, which the bench has at 1.65 ms with torch, 1.5 ms with pynccl."""
    run = reports.run("torch")
    return replace(run, operations=(replace(steady(run.operations[0], duration_ns, transfer_ns), **changed),))


def sentence(run: RunReport, *of: BenchReport) -> str:
    (calls,) = beside_bench(run, of or (benches.bench(),)).benched
    return in_words(calls).replace("\u00a0", " ")


def test_what_lacks_to_the_bench_is_waiting_and_contention() -> None:
    (calls,) = beside_bench(ran(), [benches.bench()]).benched
    assert (calls.bench_backend, calls.bench_ns) == ("torch", 1_650_000)
    assert calls.share == pytest.approx(0.55)
    assert calls.waiting == pytest.approx(0.2)
    assert calls.contention == pytest.approx(0.25)
    assert (calls.fastest_backend, calls.fastest_ns) == ("pynccl", 1_500_000)
    assert sentence(ran()) == (
        "all_to_all 12 MiB runs at 55 % of bench; 20 % is waiting for a later rank, 25 % contention"
    )


def test_without_matched_calls_the_rest_is_one() -> None:
    assert sentence(ran(transfer_ns=None)) == "all_to_all 12 MiB runs at 55 % of bench; 45 % is contention or skew"


def test_a_transfer_as_fast_as_the_bench_leaves_waiting_alone() -> None:
    assert sentence(ran(transfer_ns=1_600_000)).endswith("55 % of bench; all the rest is waiting for a later rank")
    assert sentence(ran(duration_ns=1_500_000, transfer_ns=1_500_000)).endswith("as fast as in the bench (1.10×)")


def test_a_site_s_own_figures_serve_where_there_is_no_other() -> None:
    site = benches.bench([benches.row("all_to_all", 12 * MIB, 1_800_000, "nccl-tests", dtype="float32")])
    assert "60 % of bench" in sentence(ran(), site)
    assert "55 % of bench" in sentence(ran(), site, benches.bench())


@pytest.mark.parametrize(
    ("changed", "reason", "command"),
    [
        ({"message_bytes": 13 * MIB}, "never benched at this size", "--op all_to_all -b 13M -e 13M --dtype bfloat16"),
        ({"message_bytes": 5000, "dtype": "Float"}, "never benched at this size", "-b 5000 -e 5000"),
        ({"op": "broadcast"}, "never benched", "--ranks 2 --op broadcast -b 12M -e 12M --dtype bfloat16"),
        ({"group_size": 4}, "benched over 2 ranks", "--ranks 4 --op all_to_all -b 12M -e 12M --dtype bfloat16"),
        ({"backend": "CUDA IPC"}, "benched with pynccl, torch, which carry calls another way", "--op all_to_all"),
        ({"library": "gloo"}, "never benched at this size", "--op all_to_all"),
        ({"op": "all_reduce", "message_bytes": 4 * MIB, "dtype": "float32"}, "never benched at this size", "float32"),
        ({"members": 3}, "one kernel carries 3 calls", None),
        ({"op": "gather"}, "bench has no gather", None),
        ({"steady": None}, "all its calls are warm-up", "--op all_to_all"),
    ],
)
def test_what_was_never_benched_has_its_command(changed: dict[str, Any], reason: str, command: str | None) -> None:
    found = beside_bench(ran(**changed), [benches.bench()])
    assert found.benched == ()
    (calls,) = found.unbenched
    assert reason in calls.reason
    assert (calls.command is None) == (command is None)
    assert (command or "") in (calls.command or "")


def test_another_machine_is_named() -> None:
    assert beside_bench(ran(), [benches.bench(device="NVIDIA A100")]).notes == (
        "the bench ran on NVIDIA A100, the run on NVIDIA H200",
    )
    assert beside_bench(ran(), [benches.bench()]).notes == ()


def test_page_and_terminal_say_it() -> None:
    run = ran()
    other = replace(run.operations[0], message_bytes=13 * MIB)
    run = replace(run, operations=(*run.operations, other))
    report = reports.report(replace(run, bench=beside_bench(run, [benches.bench()])))
    text = Page(render(report)).text
    assert "all_to_all 12 MiB torch 20 3.00 ms 2.40 ms 1.65 ms torch 55 %" in text
    assert "never benched at this size traceana bench --ranks 2 --op all_to_all -b 13M -e 13M" in text
    (table,) = beside_bench_tables(report)
    assert len(table.notes) == 2
    assert "beside_bench" not in Page(render(reports.one_run())).ids
    assert beside_bench_tables(reports.one_run()) == []
