"""What a captured command may be, and what its traces then hold."""

import gzip
import json
import socket
import sys
from pathlib import Path

import pytest

from tests.capturing import WORKLOAD, check, complete, free_port, run, run_file, workload

COLLECTIVES_PER_STEP = 11  # broadcast, all-gather, and in each of 3 layers two all-to-alls and an all-reduce


@pytest.mark.parametrize("start", ["spawn", "fork", "forkserver"])
def test_every_collective_has_its_size(tmp_path: Path, start: str) -> None:
    code, stdout, stderr = run(tmp_path, workload("--steps", "2", "--start", start))
    assert code == 0
    assert stdout == "generated: 2 steps on 2 ranks, backend torch, cpu\n"
    assert complete(check(tmp_path, stderr)) == (0, 1)
    for rank in (0, 1):
        with gzip.open(tmp_path / "run" / f"rank{rank}.json.gz") as file:
            events = json.load(file)["traceEvents"]
        sized = [event["args"] for event in events if "In msg nelems" in event.get("args", {})]
        assert len(sized) == 2 * COLLECTIVES_PER_STEP
        # qkv of 32 tokens, 3 * 1024 each, and the attention's output
        sent = [args["In msg nelems"] for args in sized if args["Collective name"] == "all_to_all"]
        assert sorted(set(sent)) == [32 * 1024, 32 * 3 * 1024]
        assert not any(event["name"].startswith("traceana::") for event in events)


def test_only_the_ranks_asked_for_with_their_nccl_settings(tmp_path: Path) -> None:
    options = ("--ranks", "1", "--nccl", "NCCL_PROTO=Simple", "--stacks", "--memory")
    _, _, stderr = run(tmp_path, workload("--steps", "2"), *options)
    ranks = check(tmp_path, stderr)
    assert ranks[0]["reason"] == "not among --ranks"
    assert complete(ranks) == (1,)
    assert run_file(tmp_path)["nccl"]["set"] == {"NCCL_PROTO": "Simple"}


def test_torchrun_through_a_shell(tmp_path: Path) -> None:
    torchrun = f"{sys.executable} -m torch.distributed.run --nproc-per-node 2 --master-port {free_port()}"
    code, stdout, stderr = run(tmp_path, ["bash", "-c", f"{torchrun} {WORKLOAD} --torchrun --seq 64"])
    assert "generated: 6 steps on 2 ranks" in stdout
    assert code == 0
    assert complete(check(tmp_path, stderr)) == (0, 1)


def test_without_torch_the_command_runs_as_it_is(tmp_path: Path) -> None:
    code, stdout, stderr = run(tmp_path, ["bash", "-c", "cat; echo err >&2; exit 5"], stdin="passed\nthrough")
    assert (code, stdout) == (5, "passed\nthrough")
    assert "err\n" in stderr
    assert "no rank appeared" in stderr


def test_a_backend_that_no_adapter_took_is_an_error(tmp_path: Path) -> None:
    code, _, stderr = run(tmp_path, workload("--steps", "1"), "--backend", "torch")
    assert "error: --backend torch changed nothing" in stderr
    backend = run_file(tmp_path)["backend"]
    assert (backend["asked"], backend["adapter"], backend["seen"]) == ("torch", None, ["torch.distributed"])
    assert code == 0


NCCL_LOG = """
import os, torch, torch.distributed as dist
dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
dist.all_reduce(torch.ones(8))
file = os.environ["NCCL_DEBUG_FILE"].replace("%h", "some.host").replace("%p", str(os.getpid()))
with open(file, "w") as log:
    log.write(f"host:1:1 [0] NCCL INFO NCCL_PROTO set by environment to {os.environ['NCCL_PROTO']}\\n")
"""


def test_nccls_log_is_kept_and_read(tmp_path: Path) -> None:
    options = ("--nccl-preset", "debug", "--nccl-preset", "ll", "--nccl", "NCCL_PROTO=LL128")
    _, _, stderr = run(tmp_path, [sys.executable, "-c", NCCL_LOG], *options)
    assert complete(check(tmp_path, stderr)) == (0,)
    nccl = run_file(tmp_path)["nccl"]
    assert nccl["preset"] == ["debug", "ll"]
    assert nccl["set"]["NCCL_DEBUG"] == "INFO"
    assert [(log["rank"], log["file"], log["variables"]) for log in nccl["ranks"]] == [
        (0, "nccl.rank0.log", {"NCCL_PROTO": "LL128"})
    ]
    assert (tmp_path / "run" / "nccl.rank0.log").read_text().startswith("host:1:1")


def test_what_ran_is_recorded_without_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NCCL_IB_DISABLE", "1")
    monkeypatch.setenv("HF_TOKEN", "secret")
    run(tmp_path, workload("--steps", "1", "--start", "fork"), "--nccl", "NCCL_PROTO=Simple")
    content = run_file(tmp_path)
    assert content["environment"] == {"NCCL_IB_DISABLE": "1", "NCCL_PROTO": "Simple"}
    assert content["gpus"] == {"0": None, "1": None}
    assert content["host"] == socket.gethostname()
    assert {"traceana", "torch", "python"} <= content["versions"].keys()
    assert "secret" not in json.dumps(content)
