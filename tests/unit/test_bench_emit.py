"""What a bench's verdicts become for NCCL's tuner, for a program and for a shell."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests import benches
from traceana.bench.emit import dispatch, parse_emit, shell, tuner, write
from traceana.bench.verdicts import judged
from traceana.errors import TraceanaError
from traceana.report.bench import BenchReport

KIB, MIB = 1 << 10, 1 << 20


def bench(times: Mapping[str, tuple[int, ...]], op: str = "all_reduce", *, hosts: int = 1) -> BenchReport:
    """Times of each backend in ns at 1 KiB, 64 KiB, 4 MiB and so on."""
    rows = [
        benches.row(op, KIB << 6 * place, ns, name)
        for name, of_name in times.items()
        for place, ns in enumerate(of_name)
    ]
    found = judged(rows)
    return benches.bench(rows, verdicts=found.verdicts, crossovers=found.crossovers, hosts=hosts)


TWO = bench({"torch": (10_000, 20_000, 80_000), "pynccl": (20_000, 20_000, 40_000)})


def test_a_program_chooses_where_two_backends_take_the_same_time() -> None:
    table = dispatch(TWO)
    assert (table.ranks, table.hosts, table.device, table.dtypes) == (2, 1, "NVIDIA H200", ("bfloat16",))
    (choice,) = table.operations
    assert choice.cannot_tell == (64 * KIB,)
    first, second = choice.ranges
    assert (first.from_bytes, first.backend, second.backend) == (KIB, "torch", "pynccl")
    assert first.below_bytes == second.from_bytes == pytest.approx(64 * KIB, rel=0.01)
    assert second.below_bytes == 4 * MIB + 1


def test_nothing_is_chosen_where_nothing_is_certain() -> None:
    (choice,) = dispatch(bench({"torch": (10_000,), "pynccl": (10_000,)})).operations
    assert (choice.ranges, choice.cannot_tell) == ((), (KIB,))
    assert "# all_reduce: cannot tell" in shell(bench({"torch": (10_000,), "pynccl": (10_000,)}))


def test_any_of_several_leaders_is_chosen_where_another_is_slower() -> None:
    alike = bench({"torch": (10_000, 20_000), "pynccl": (10_000, 20_000), "slow": (20_000, 40_000)})
    (choice,) = dispatch(alike).operations
    (only,) = choice.ranges
    assert only.backend in ("torch", "pynccl")
    assert choice.cannot_tell == (KIB, 64 * KIB)


def test_the_tuner_is_told_where_a_setting_beats_ncclss_own_choice() -> None:
    times = {
        "torch": (5_000, 5_000, 5_000, 5_000),
        "pynccl": (20_000, 20_000, 80_000, 900_000),
        "pynccl:ring/ll": (10_000, 12_000, 90_000, 990_000),
        "pynccl:tree/simple": (15_000, 15_000, 60_000, 900_000),
    }
    lines = tuner(bench(times, hosts=2)).splitlines()
    # The largest size is as fast with NCCL's own choice; limits lie between sizes, in the middle of their logarithms.
    assert lines[1:] == [
        f"allreduce,{KIB},{512 * KIB},ring,ll,-1,2,2",
        f"allreduce,{512 * KIB + 1},{32 * MIB},tree,simple,-1,2,2",
    ]
    assert "made by traceana bench" in lines[0]


def test_the_tuner_has_no_all_to_all_and_needs_settings() -> None:
    with pytest.raises(TraceanaError, match="pynccl:ring/ll"):
        tuner(bench({"pynccl": (10_000,), "pynccl:ring/ll": (5_000,)}, "all_to_all"))
    with pytest.raises(TraceanaError, match="pynccl:ring/ll"):
        parse_emit("tuner=nccl.conf", ("torch", "pynccl"))
    assert parse_emit("tuner=nccl.conf", ("pynccl", "pynccl:ring/ll")) == ("tuner", Path("nccl.conf"))


@pytest.mark.parametrize("text", ["tuner", "nix=file", "shell=", "=x"])
def test_another_word_is_refused(text: str) -> None:
    with pytest.raises(TraceanaError, match="KIND=FILE"):
        parse_emit(text, ())


def test_a_shell_turns_sglang_s_exchange_on_or_off() -> None:
    faster = bench({"torch": (20_000, 20_000), "sglang_ipc": (10_000, 10_000)}, "all_to_all")
    assert shell(faster).endswith("export SGLANG_DIFFUSION_IPC_A2A=1\n")
    slower = bench({"torch": (10_000, 10_000), "sglang_ipc": (20_000, 20_000)}, "all_to_all")
    assert "export SGLANG_DIFFUSION_IPC_A2A=0\n" in shell(slower)
    assert "SGLANG" not in shell(TWO)
    assert "# all_reduce: torch from 1 KiB, pynccl from 6" in shell(TWO).replace("\u00a0", " ")


def test_a_name_makes_no_line_of_its_own_in_a_shell() -> None:
    strange = replace(TWO, machine=(("device", "GPU\nrm -rf /"),))
    assert shell(strange).splitlines()[0] == "# traceana bench: 2 ranks, GPU rm -rf /"


def test_files_are_written(tmp_path: Path) -> None:
    write(TWO, "dispatch", tmp_path / "dispatch.json")
    table = json.loads((tmp_path / "dispatch.json").read_text())
    assert [one["backend"] for one in table["operations"][0]["ranges"]] == ["torch", "pynccl"]
    with pytest.raises(TraceanaError, match="cannot be written"):
        write(TWO, "shell", tmp_path / "nix" / "lines.sh")
