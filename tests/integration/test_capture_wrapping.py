"""What a captured command may be, and what its traces then hold."""

import contextlib
import gzip
import json
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import warm
from tests.capturing import WORKLOAD, check, complaints, complete, finish, free_port, launch, run, run_file, workload
from tests.integration.gloo_tensor import TENSOR
from tests.warm import ALL

COLLECTIVES_PER_STEP = 5  # broadcast, all-gather, and in the only layer two all-to-alls and an all-reduce


@pytest.mark.parametrize("starts", [["fork"], ["spawn", "forkserver"]], ids=" and ".join)
def test_every_collective_has_its_size(tmp_path: Path, starts: list[str]) -> None:
    code, stdout, stderr = run(tmp_path, workload("--steps", "2", "--start", *starts))
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


ONE_RANK = f"""
import sys, torch, torch.distributed as dist
{TENSOR}
dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
dist.all_reduce(x)
sys.stdout.write(sys.stdin.read())
sys.exit(3)
"""


def as_module(folder: Path) -> list[str]:
    return [sys.executable, "-m", "one_rank"]


def as_script_in_a_shell(folder: Path) -> list[str]:
    """A script as pip installs them, which no fork of the tests can be: this Python begins with an import of torch."""
    script = folder / "one-rank"
    # Torch's compiler takes seconds to import, and nothing here needs it.
    check = "sys.exit(1 if 'torch._inductor' in sys.modules else 3)"
    script.write_text(f"#!{sys.executable}\nimport sys\ntry: import one_rank\nexcept SystemExit: {check}\n")
    script.chmod(0o755)
    (folder / "run.sh").write_text(f"cd {folder}\n./one-rank\n")
    return ["bash", str(folder / "run.sh")]


def through_accelerate(folder: Path) -> list[str]:
    pytest.importorskip("accelerate")
    return [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes=1", f"{folder}/one_rank.py"]


@pytest.mark.parametrize(
    ("command", "generations"), [(as_module, ALL), (as_script_in_a_shell, 0), (through_accelerate, 0)]
)
def test_one_rank_in_any_wrapping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Callable[[Path], list[str]], generations: int
) -> None:
    program = tmp_path / "program"
    program.mkdir()
    (program / "one_rank.py").write_text(ONE_RANK)
    monkeypatch.setenv("PYTHONPATH", str(program))
    words, said = command(program), "passed\nthrough"
    code, stdout, stderr = run(tmp_path / "traces", words, stdin=said, generations=generations)
    assert stdout == said
    assert code == (1 if command is through_accelerate else 3)
    assert complete(check(tmp_path / "traces", stderr)) == (0,)


def test_only_the_ranks_asked_for_with_their_nccl_settings(tmp_path: Path) -> None:
    options = ("--ranks", "1,2,3", "--nccl", "NCCL_PROTO=Simple", "--stacks", "--memory")
    _, _, stderr = run(tmp_path, workload("--steps", "1", "--start", "fork"), *options)
    ranks = check(tmp_path, stderr)
    assert ranks[0]["reason"] == "not among --ranks"
    assert complete(ranks) == (1,)
    assert run_file(tmp_path)["nccl"]["set"] == {"NCCL_PROTO": "Simple"}
    assert "no rank 2–3; the ranks are 0–1" in stderr


def test_torchrun(tmp_path: Path) -> None:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", free_port()]
    program = [WORKLOAD, "--torchrun", "--seq", "64", "--layers", "1", "--steps", "1"]
    code, stdout, stderr = run(tmp_path, [*torchrun, *program])
    assert "generated: 1 steps on 2 ranks" in stdout
    assert code == 0
    assert complete(check(tmp_path, stderr)) == (0, 1)


def test_without_torch_the_command_runs_as_it_is(tmp_path: Path) -> None:
    code, stdout, stderr = run(tmp_path, ["bash", "-c", "cat; echo err >&2; exit 5"], stdin="passed\nthrough")
    assert (code, stdout) == (5, "passed\nthrough")
    assert "err\n" in stderr
    assert "no rank appeared" in stderr


def test_the_command_reads_the_terminal(tmp_path: Path) -> None:
    terminal, stdin = os.openpty()
    process = launch(tmp_path, ["bash", "-c", "echo ready; read line; echo got $line"], stdin=stdin)
    os.close(stdin)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    os.write(terminal, b"words\n")
    assert process.stdout.readline() == "got words\n"
    assert finish(process, tmp_path)[0] == 0
    os.close(terminal)


def test_a_backend_that_no_adapter_took_is_an_error(tmp_path: Path) -> None:
    code, _, stderr = run(tmp_path, workload("--steps", "1", "--start", "fork"), "--backend", "torch")
    assert "error: --backend torch changed nothing" in stderr
    backend = run_file(tmp_path)["backend"]
    assert (backend["asked"], backend["adapter"], backend["seen"]) == ("torch", None, ["torch.distributed"])
    assert code == 0


NCCL_LOG = (
    TENSOR
    + """
import os, torch, torch.distributed as dist
dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
dist.all_reduce(x)
file = os.environ["NCCL_DEBUG_FILE"].replace("%h", "some.host").replace("%p", str(os.getpid()))
with open(file, "w") as log:
    log.write(f"host:1:1 [0] NCCL INFO NCCL_PROTO set by environment to {os.environ['NCCL_PROTO']}\\n")
"""
)


def test_nccls_log_is_kept_and_read(tmp_path: Path) -> None:
    options = ("--nccl-preset", "debug", "--nccl-preset", "ll", "--nccl", "NCCL_PROTO=LL128")
    _, _, stderr = run(tmp_path, [sys.executable, "-c", NCCL_LOG], *options)
    assert complete(check(tmp_path, stderr)) == (0,)
    nccl = run_file(tmp_path)["nccl"]
    assert nccl["preset"] == ["debug", "ll"]
    assert "NCCL_DEBUG_FILE" not in run_file(tmp_path)["environment"]
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


ONE_COLLECTIVE = f"""
import time, torch, torch.distributed as dist
{TENSOR}
dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
dist.all_reduce(x)
end = time.monotonic() + 2
while time.monotonic() < end:
    torch.ones(8).relu()
    time.sleep(0.01)
"""


def test_a_delay_needs_no_later_collective(tmp_path: Path) -> None:
    _, _, stderr = run(tmp_path, [sys.executable, "-c", ONE_COLLECTIVE], "--delay", "0.5", "--duration", "0.5")
    ranks = check(tmp_path, stderr)
    assert complete(ranks) == (0,)
    with gzip.open(tmp_path / "run" / "rank0.json.gz") as file:
        names = [event["name"] for event in json.load(file)["traceEvents"]]
    assert "aten::relu" in names
    assert not any("all_reduce" in name for name in names)


@pytest.mark.parametrize(("variable", "command"), [("NSYS_PROFILING_SESSION_ID", "true"), ("HOME", "/opt/bin/nsys")])
def test_another_profiler_of_the_gpu_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, command: str
) -> None:
    monkeypatch.setenv(variable, "1")
    code, _, stderr = run(tmp_path, [command])
    assert code == 2
    assert "one profiler at a time" in stderr


def test_a_terminal_shows_what_ranks_do_and_a_pipe_does_not(tmp_path: Path) -> None:
    _, _, quiet = run(tmp_path, workload("--start", "fork", "--steps", "1"))
    assert complaints(quiet) == []
    assert f"traceana: next: traceana analyze {tmp_path / 'run'}" in quiet
    reader, writer = os.openpty()
    process = launch(tmp_path, workload("--start", "fork", "--steps", "1"), "--force", stderr=writer)
    os.close(writer)
    stdout, _ = process.communicate(timeout=60)
    shown = b""
    with contextlib.suppress(OSError):
        while piece := os.read(reader, 4096):
            shown += piece
    os.close(reader)
    assert stdout == "generated: 1 steps on 2 ranks, backend torch, cpu\n"
    lines = [line for line in shown.decode().splitlines() if line.startswith("traceana: rank")]
    assert any(line.startswith("traceana: ranks 0–1: ") for line in lines)
    assert all(any(line.startswith(f"traceana: rank {rank}: done, ") for line in lines) for rank in (0, 1))


TWICE = """
import sys, threading
from pathlib import Path
from traceana_capture.launcher.options import Options
from traceana_capture.launcher.captured_run import capture
options = Options(argv=(sys.executable, "-c", sys.argv[2]), nccl={})
codes = [capture(options, Path(sys.argv[1]), label) for label in ("one", "two")]
print(codes, [thread.name for thread in threading.enumerate()])
"""


def test_two_captures_in_one_process(tmp_path: Path) -> None:
    program = ONE_RANK.replace("sys.stdin.read()", '""')
    done = warm.run("-c", TWICE, str(tmp_path), program)
    assert done.stdout == "[3, 3] ['MainThread']\n"
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("rank*")) == [
        "one/rank0.json.gz",
        "two/rank0.json.gz",
    ]


STEPS = f"""
import torch, torch.distributed as dist
{TENSOR}

def step():
    dist.all_reduce(x)

class Model:
    @staticmethod
    def fixed(): step()
    @classmethod
    def of_class(kind): step()
    async def later(self): step()
"""
STEPPING = """
from steps import Model, step, dist
dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
for _ in range(4):
    step(); Model.fixed(); Model().fixed(); Model.of_class(); Model().of_class()
"""


@pytest.mark.parametrize(
    ("function", "calls"), [("step", 2), ("Model.fixed", 2), ("Model.of_class", 2), ("Model", 0), ("Model.later", 0)]
)
def test_steps_of_a_module_that_imports_torch_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str, calls: int
) -> None:
    (tmp_path / "steps.py").write_text(STEPS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    options = ("--step-on", f"steps:{function}", "--warmup", "1", "--steps", "2")
    code, _, stderr = run(tmp_path / "traces", [sys.executable, "-c", STEPPING], *options)
    ranks = check(tmp_path / "traces", stderr)
    assert code == 0
    assert complete(ranks) == ((0,) if calls else ())
    assert ("is no plain function or method" in stderr) == (not calls)


MESH = f"""
import torch, torch.distributed as dist
{TENSOR}
from torch.distributed.device_mesh import init_device_mesh
init_device_mesh("cpu", (1,))
dist.all_reduce(x)
"""


def test_a_mesh_of_devices_sets_the_process_group_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port(), "RANK": "0", "WORLD_SIZE": "1"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    _, _, stderr = run(tmp_path, [sys.executable, "-c", MESH])
    assert complete(check(tmp_path, stderr)) == (0,)
