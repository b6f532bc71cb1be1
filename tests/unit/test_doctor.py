"""`traceana doctor` finds what was planted, and says of what it cannot see that it cannot."""

import json
import os
import sys
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from tests import reports
from tests.commands import run, traceana
from traceana.commands import doctor
from traceana.doctor import gpus, host, program, recording, trial
from traceana.doctor.findings import Finding, failed, gathered
from traceana.errors import TraceanaError
from traceana.report import RunReport
from traceana.report.bench import BenchReport, BenchRow, NotMeasured

GPU = gpus.Gpu(
    index=0,
    name="NVIDIA H200",
    sm_clock_mhz=1980,
    largest_sm_clock_mhz=1980,
    temperature_c=41,
    throttle=0,
    memory_bytes=140 << 30,
    used_bytes=1 << 30,
    mig=False,
)
LINK = gpus.Link(first=0, second=1, peers=True, nvlink=True)
FACTS = program.Facts(
    python="3.12.3",
    packages={"nvidia-nccl-cu13": "2.28.9", "sglang": "0.5.23"},
    nccl_paths={},
    torch="2.11.0+cu130",
    cuda="13.0",
    gpus=2,
    distributed=True,
    nccl="2.28.9",
    kernels=1,
)


def machine(*found: gpus.Gpu, links: tuple[gpus.Link, ...] = (LINK,)) -> gpus.Gpus:
    return gpus.Gpus(driver="580.95", cuda="13.0", gpus=found, links=links)


def levels(findings: list[Finding]) -> dict[str, str]:
    return {finding.check: finding.level for finding in findings}


def test_a_machine_in_order_has_nothing_to_say() -> None:
    found = gpus.findings(machine(GPU, replace(GPU, index=1)))
    assert set(levels(found).values()) == {"ok"}
    assert "NVLink between 1 pair, which is all" in [finding.evidence for finding in found]


@pytest.mark.parametrize(("bit", "level"), [(0x1, "ok"), (0x4, "warning"), (0x40, "failure"), (0x80, "failure")])
def test_a_gpu_that_is_held_back_is_named(bit: int, level: str) -> None:
    assert levels(gpus.findings(machine(replace(GPU, throttle=bit))))["GPU 0 clock"] == level


def test_other_programs_slices_and_missing_links_are_named() -> None:
    busy = replace(GPU, index=1, used_bytes=100 << 30, mig=True, name="NVIDIA H100")
    found = levels(gpus.findings(machine(GPU, busy, links=(replace(LINK, peers=False, nvlink=False),))))
    assert {name for name, level in found.items() if level == "warning"} == {
        "GPUs",
        "GPU links",
        "GPU 1 in use",
        "GPU 1 MIG",
    }


def test_what_nvml_does_not_tell_is_not_called_ok() -> None:
    silent = replace(GPU, throttle=None)
    found = levels(gpus.findings(machine(silent, links=(replace(LINK, peers=None, nvlink=None),))))
    assert found["GPU 0 clock"] == found["GPU links"] == "could not check"


def test_little_room_is_a_failure_and_some_room_a_warning() -> None:
    def level(found: list[Finding]) -> str:
        return found[0].level

    assert [level(host.shared_memory(room << 20)) for room in (64, 512, 4096)] == ["failure", "warning", "ok"]
    assert [level(host.disk(Path("x"), room << 30)) for room in (0, 5, 50)] == ["failure", "warning", "ok"]
    assert [level(host.open_files(limit)) for limit in (1024, 65536, -1)] == ["warning", "ok", "ok"]


def test_inherited_variables_are_named_and_harmless_ones_are_not() -> None:
    planted = {"NCCL_P2P_DISABLE": "1", "CUDA_LAUNCH_BLOCKING": "1", "TORCH_DEVICE_BACKEND_AUTOLOAD": "0"}
    found = host.environment({**planted, "NCCL_DEBUG": "WARN", "NCCL_SHM_DISABLE": "0"})
    told = {finding.evidence.partition("=")[0]: finding.level for finding in found}
    assert told == {
        "CUDA_LAUNCH_BLOCKING": "failure",
        "NCCL_P2P_DISABLE": "warning",
        "TORCH_DEVICE_BACKEND_AUTOLOAD": "failure",
    }
    assert levels(host.environment({"PATH": "/bin"})) == {"environment": "ok"}


def test_a_program_in_order_has_nothing_to_say() -> None:
    assert set(levels(program.findings(FACTS)).values()) == {"ok"}


@pytest.mark.parametrize(
    ("planted", "check", "level"),
    [
        ({"kernels": 0}, "profiler", "failure"),
        ({"torch": None, "error": "No module named 'torch'"}, "torch", "failure"),
        ({"torch": "2.4.1"}, "torch", "failure"),
        ({"distributed": False}, "torch", "failure"),
        ({"nccl_paths": {"VLLM_NCCL_SO_PATH": "/opt/libnccl.so"}}, "NCCL", "warning"),
        ({"packages": {"nvidia-nccl-cu13": "2.27.3"}}, "NCCL", "warning"),
        ({"packages": {"sglang": "0.6.0"}}, "sglang", "warning"),
    ],
)
def test_what_a_program_lacks_is_named(planted: dict[str, object], check: str, level: str) -> None:
    facts = program.Facts(**{**msgspec.structs.asdict(FACTS), **planted})
    assert levels(program.findings(facts))[check] == level


def test_the_python_of_a_command_is_found_by_its_first_line(tmp_path: Path) -> None:
    script = tmp_path / "sglang"
    script.write_text(f"#!{sys.executable}\nprint()\n")
    assert program.interpreter(script) == sys.executable
    script.write_text("#!/bin/bash\n")
    assert program.interpreter(script) is None
    assert program.interpreter(Path(sys.executable)) == sys.executable


def test_a_command_that_capture_cannot_reach_is_named() -> None:
    assert levels(program.checked(["no-such-program"])) == {"command": "failure"}
    isolated = program._reached(["python3", "-I", "x.py"], "python3")
    assert levels(isolated) == {"command": "failure"}


def test_the_probe_tells_of_this_python() -> None:
    facts = program.asked(sys.executable)
    assert facts.torch is not None
    assert facts.distributed
    with pytest.raises(TraceanaError, match="ended with 1"):
        program.asked(os.environ.get("FALSE", "/bin/false"))


def test_a_check_that_cannot_be_made_leaves_the_others() -> None:
    def broken() -> list[Finding]:
        raise OSError("no such folder")

    found = gathered([("disk", broken), ("network", host.network)])
    assert levels(found)["disk"] == "could not check"
    assert len(found) == 2


def test_backends_are_told_with_what_they_achieved_or_why_they_cannot_run() -> None:
    row = BenchRow(
        op="all_reduce",
        message_bytes=1 << 20,
        dtype="float32",
        backend="torch",
        graph=False,
        in_place=False,
        calls=9,
        p50_ns=20_000,
        p95_ns=21_000,
        p99_ns=22_000,
        algbw_gbps=52.4,
        busbw_gbps=52.4,
        launch_ns=None,
        blocks_ns=(20_000,),
        checked=True,
    )
    report = BenchReport(
        ranks=2,
        machine=(),
        backends=(("torch", "nccl"),),
        rows=(row,),
        verdicts=(),
        crossovers=(),
        not_measured=(NotMeasured(backend="pynccl", op=None, reason="NCCL needs a GPU"),),
    )
    found = trial.findings(report)
    assert levels(found) == {"backend torch": "ok", "backend pynccl": "could not check"}
    assert "busbw 52.4" in found[0].evidence


def test_a_run_is_asked_whether_it_shows_what_was_asked_for() -> None:
    run_ = reports.run("pynccl")
    assert run_.setup is not None
    setup = replace(
        run_.setup,
        backend_asked="pynccl",
        backend_mismatch="--backend pynccl was asked for, but the traces show torch.distributed",
        environment=(("NCCL_P2P_DISABLE", "1"),),
        nccl_set=(),
    )
    found = levels(recording.of_run(replace(run_, setup=setup)))
    assert found["backend"] == "failure"
    assert found["NCCL settings"] == "warning"
    assert found["profiler's cost"] == "could not check"


def test_how_much_the_backend_that_was_asked_for_carried_is_told() -> None:
    run_ = reports.run("torch")
    setup, (one, *_) = run_.setup, run_.operations
    assert setup is not None
    lasting = {ns: replace(one.duration_ns, sum=ns) for ns in (100, 300)}
    mine = replace(one, backend="custom all-reduce", message_bytes=100, count=3, duration_ns=lasting[300])
    other = replace(one, backend="torch.distributed", message_bytes=700, count=1, duration_ns=lasting[100])
    setup, seen = replace(setup, backend_asked="custom"), (mine.backend, other.backend)
    both = replace(run_, operations=(mine, other), setup=setup, backends_seen=seen)
    assert _said_of_backend(both) == (
        "custom was asked for, and custom all-reduce carried 75 % of the calls' time and 30 % of the known bytes; "
        "the rest: torch.distributed"
    )
    silent = replace(both, operations=(mine, replace(other, message_bytes=None)))
    assert (
        "75 % of the calls' time and 100 % of the known bytes (1 kernel without a size); the rest"
        in _said_of_backend(silent)
    )
    unsized = replace(both, operations=(replace(mine, message_bytes=None),), backends_seen=seen[:1])
    assert _said_of_backend(unsized).endswith("carried 100 % of the calls' time")
    assert _said_of_backend(replace(both, operations=())).endswith("the traces show no collective")


def _said_of_backend(run_: RunReport) -> str:
    return next(one.evidence for one in recording.of_run(run_) if one.check == "backend").replace(
        "\N{NO-BREAK SPACE}", " "
    )


def test_a_run_that_is_incomplete_or_cannot_tell_says_so() -> None:
    run_ = reports.run("torch", sized=False)
    lacking = replace(run_, missing_ranks=(1,), steps=(), requests=(), perf_dumps=(), ranks=run_.ranks[:1])
    found = levels(recording.of_run(lacking))
    assert found["recording"] == found["end to end"] == "warning"
    assert found["message sizes"] == found["warm-up"] == found["waiting"] == "could not check"


def test_single_runs_of_one_layout_are_warned_of() -> None:
    found = levels(recording.checked(reports.two_runs()))
    assert found["repeats"] == found["layouts"] == "warning"


def test_the_command_prints_json_and_fails_with_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_LAUNCH_BLOCKING", "1")
    monkeypatch.setattr(program, "asked", lambda _python: FACTS)
    code, stdout, _ = run("doctor", "--quick", "--format", "json", "-o", tmp_path)
    findings = json.loads(stdout)["findings"]
    assert code == 1
    failing = [one["evidence"] for one in findings if one["level"] == "failure"]
    assert [evidence.partition("=")[0] for evidence in failing] == ["CUDA_LAUNCH_BLOCKING"]
    assert not failed(Finding(**one) for one in findings if one["level"] != "failure")


def test_the_command_checks_a_recorded_run() -> None:
    stdout = traceana("doctor", Path(__file__).parents[1] / "traces" / "h200" / "torch-2r")
    assert "144 of 144 calls were matched" in stdout
    assert "→" in stdout


def test_an_nvml_that_lacks_a_name_or_answers_badly_tells_nothing_of_it() -> None:
    class Nvml:
        NVMLError = RuntimeError

        @staticmethod
        def refused(*_: object) -> None:
            raise RuntimeError("not supported")

    assert gpus._asked(Nvml, "refused", 1) is None
    assert gpus._asked(Nvml, "absent") is None


def test_names_from_files_steer_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = Finding(check="\x1b[31mred", level="warning", evidence="a\nforged line", advice="\x1b]0;title\x07")
    doctor._print([hostile])
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert "\x07" not in printed
    assert "a forged line" in printed
