"""The program comes first: its own profiler, its CUDA graphs, its children and its threads, under capture."""

import gzip
import json
import re
import sys
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import torch
from traceana_capture.agent import profiler
from traceana_capture.launcher.inject import inject
from traceana_capture.launcher.options import Options
from traceana_capture.launcher.workers import Ranks

from tests import warm
from tests.analysis import analyze
from tests.capturing import complaints, run
from tests.integration.gloo_tensor import TENSOR

BEGIN = f"""
import json, os, sys, threading, time
import torch, torch.distributed as dist
{TENSOR}
dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
def work(n=5):
    for _ in range(n): dist.all_reduce(x)
"""


# Torch 2.8's says on stdout that it is connected.
GLOOS_OWN = re.compile(r"^\[Gloo\] Rank .*\n", re.MULTILINE)


class Runs:
    """Runs programs in the test's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def alone(self, program: str) -> CompletedProcess[str]:
        """The program without capture."""
        done = warm.run("-c", BEGIN + program)
        return CompletedProcess(done.args, done.returncode, GLOOS_OWN.sub("", done.stdout), done.stderr)

    def captured(self, program: str, *options: str) -> CompletedProcess[str]:
        """The program under capture."""
        command = [sys.executable, "-c", BEGIN + program, str(self.folder)]
        code, stdout, stderr = run(self.folder / "traces", command, *options)
        return CompletedProcess(command, code, GLOOS_OWN.sub("", stdout), stderr)

    def ranks(self) -> list[dict[str, Any]]:
        """Those of run.json."""
        content = json.loads((self.folder / "traces" / "run" / "run.json").read_text())
        ranks: list[dict[str, Any]] = content["ranks"]
        return ranks

    def events(self) -> list[dict[str, Any]]:
        """Those of its trace."""
        with gzip.open(self.folder / "traces" / "run" / "rank0.json.gz") as file:
            found: list[dict[str, Any]] = json.load(file)["traceEvents"]
        return found

    def sized(self) -> int:
        """How many of them have a size."""
        return sum("In msg nelems" in event.get("args", {}) for event in self.events())

    def __call__(self, program: str, *options: str) -> tuple[dict[str, Any], str, str]:
        """Run the program, which must end well; returns its rank in run.json, its output and stderr."""
        done = self.captured(program, *options)
        assert done.returncode == 0, done.stderr
        (rank,) = self.ranks()
        return rank, done.stdout, done.stderr


@pytest.fixture
def capture(tmp_path: Path) -> Runs:
    return Runs(tmp_path)


def test_gives_way_to_the_programs_own_profiler(capture: Runs, tmp_path: Path) -> None:
    program = """
work()
with torch.profiler.profile() as own:
    work(3)
own.export_chrome_trace(sys.argv[1] + "/own.json")
work()
"""
    rank, _, _ = capture(program)
    assert (rank["outcome"], rank["reason"]) == ("complete", "the program started its own profiler")
    assert capture.sized() == 5
    theirs = json.loads((tmp_path / "own.json").read_text())["traceEvents"]
    assert sum(event["name"] == "gloo:all_reduce" for event in theirs) == 3


def test_waits_for_the_end_of_the_programs_own_profiler(capture: Runs, tmp_path: Path) -> None:
    program = """
with torch.profiler.profile() as own:
    work(3)
own.export_chrome_trace(sys.argv[1] + "/own.json")
work(4)
dist.destroy_process_group()
"""
    rank, _, _ = capture(program)
    assert rank["outcome"] == "complete"
    assert capture.sized() == 4
    theirs = json.loads((tmp_path / "own.json").read_text())["traceEvents"]
    assert sum(event["name"] == "gloo:all_reduce" for event in theirs) == 3


@pytest.mark.parametrize(
    "before",
    [
        "with torch.profiler.profile(): time.sleep(1)",
        "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals()); time.sleep(1)",
    ],
    ids=["own profiler", "signals blocked"],
)
def test_a_delay_whose_end_comes_at_a_bad_moment_ends_at_the_next_collective(capture: Runs, before: str) -> None:
    rank, _, _ = capture(f"work()\n{before}\nwork(3)", "--delay", "0.3")
    assert rank["outcome"] == "complete"
    assert capture.sized() == 3


def test_tells_that_the_programs_own_profiler_was_in_the_way(capture: Runs) -> None:
    rank, _, stderr = capture("with torch.profiler.profile(): work()")
    assert (rank["outcome"], rank["reason"]) == ("missing", "the program's own profiler was running")
    assert "own profiler" in stderr


def test_a_childs_work_is_not_in_the_parents_trace(capture: Runs) -> None:
    program = """
work()
child = os.fork()
if not child:
    for _ in range(100): x @ x
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
work()
"""
    rank, _, _ = capture(program)
    assert rank["outcome"] == "complete"
    assert capture.sized() == 10
    assert not any(event["name"] == "aten::dot" for event in capture.events())


OTHER_THREAD = """
work()
threading.Thread(target=lambda: x @ x).start()
work()
"""


ALL_THREADS = pytest.mark.skipif(not profiler.knows_all_threads(), reason="this torch has no session over all threads")


@pytest.mark.parametrize(("options", "seen"), [((), False), pytest.param(("--all-threads",), True, marks=ALL_THREADS)])
def test_other_threads_are_seen_when_asked_for(capture: Runs, options: tuple[str, ...], seen: bool) -> None:
    rank, _, _ = capture(OTHER_THREAD, *options)
    assert rank["outcome"] == "complete"
    assert any(event["name"] == "aten::dot" for event in capture.events()) == seen


@ALL_THREADS
def test_work_in_another_thread_than_the_main_one(capture: Runs) -> None:
    program = "worker = threading.Thread(target=work); worker.start(); worker.join()"
    rank, _, _ = capture(program)
    assert rank["outcome"] == "complete"
    assert capture.sized() == 5


def test_a_sleeping_program_is_interrupted_for_the_end_of_the_window(capture: Runs) -> None:
    program = """
work()
ready = threading.Event()
begin = time.monotonic()
time.sleep(4)
assert 4 <= time.monotonic() - begin
os.kill(os.getpid(), 9)
"""
    assert capture.captured(program, "--duration", "0.3").returncode == 128 + 9
    (rank,) = capture.ranks()
    assert (rank["outcome"], rank["reason"]) == ("complete", "the duration was over")


@pytest.mark.skipif(torch.version.cuda is not None, reason="stands in for the CUDAGraph of a build without CUDA")
def test_a_stop_waits_for_the_end_of_a_graphs_capture(capture: Runs) -> None:
    program = """
kind = torch.cuda.CUDAGraph
kind.__mro__[1].capture_begin = kind.__mro__[1].capture_end = lambda self, **_: None
def show(): print("recording" if torch.autograd.profiler._is_profiler_enabled else "stopped")
begin = time.monotonic()
work()
graph = object.__new__(kind)
graph._tracker = None
graph.capture_begin()
while time.monotonic() < begin + 1.5: work(1); time.sleep(0.01)
show()
print("threads", threading.active_count() < 10)
graph.capture_end()
show()
"""
    rank, stdout, _ = capture(program, "--duration", "0.3", "--max-collectives", "1000000")
    assert stdout.split() == ["recording", "threads", "True", "stopped"]
    assert (rank["outcome"], rank["reason"]) == ("complete", "the duration was over")
    # Gloo works on the host, and so during the graph's capture too.
    assert capture.sized() > 5


def test_a_process_that_cannot_be_prepared_runs_without_a_window(
    capture: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = inject(tmp_path, Options(argv=("python",), nccl={}))
    settings = json.loads(environment["TRACEANA_CAPTURE"])
    del settings["backend"]
    monkeypatch.setenv("TRACEANA_CAPTURE", json.dumps(settings))
    launcher = Ranks(tmp_path)
    done = capture.alone("work(); print(torch.autograd.profiler._is_profiler_enabled)")
    assert (done.returncode, done.stdout) == (0, "False\n")
    assert "will not be recorded: KeyError('backend')" in done.stderr
    launcher.close()
    # Nobody is there any more for what inherits the variable now, such as a daemon.
    assert capture.alone("work()").stderr == ""


BOUNDS = {
    "collectives": (("--max-collectives", "7"), "work(20)", "--max-collectives were recorded", 7),
    "memory": (
        ("--max-memory", "64"),
        "work(3); kept = torch.ones(128 << 20, dtype=torch.uint8); time.sleep(1); work(3)",
        "the process had grown by --max-memory",
        3,
    ),
    "duration": (("--duration", "0.2"), "work(2); time.sleep(1); work(3)", "the duration was over", 2),
}


@pytest.mark.parametrize(("options", "program", "reason", "calls"), BOUNDS.values(), ids=BOUNDS)
def test_the_window_is_bounded(capture: Runs, options: tuple[str, ...], program: str, reason: str, calls: int) -> None:
    rank, _, _ = capture(program, *options)
    assert (rank["outcome"], rank["reason"]) == ("complete", reason)
    assert capture.sized() == calls


def test_steps_of_an_optimizer_are_counted(capture: Runs) -> None:
    program = """
weight = torch.nn.Parameter(torch.ones(4))
optimizer = torch.optim.SGD([weight], lr=0.1)
for number in range(5):
    (weight * number).sum().backward()
    for _ in range(number): dist.all_reduce(x)
    optimizer.step()
    optimizer.zero_grad()
"""
    rank, _, _ = capture(program, "--warmup", "2", "--steps", "2")
    assert (rank["outcome"], rank["reason"]) == ("complete", "the steps were over")
    assert capture.sized() == 2 + 3


def test_wrong_arguments_give_torchs_own_errors(capture: Runs) -> None:
    program = """
work()
calls = [
    lambda: dist.all_reduce("x"),
    lambda: dist.all_reduce(),
    lambda: dist.all_reduce(x, bogus=1),
    lambda: dist.all_reduce(x, group=[]),
    lambda: dist.all_gather([], x),
    lambda: dist.all_to_all([], []),
    lambda: dist.all_to_all_single(x, (1, 2)),
    lambda: dist.broadcast(x),
]
for call in calls:
    try: call()
    except Exception as error: print(type(error).__name__, str(error).splitlines()[0])
"""
    alone = capture.alone(program)
    assert alone.returncode == 0
    rank, stdout, _ = capture(program)
    assert rank["outcome"] == "complete"
    assert stdout == alone.stdout
    assert len(stdout.splitlines()) == 8


def test_a_profiler_that_does_not_start_costs_the_trace_only(capture: Runs) -> None:
    program = """
def start(self): raise RuntimeError("no profiler here")
torch.profiler.profile.start = start
work()
print("worked")
"""
    rank, stdout, _ = capture(program)
    assert stdout == "worked\n"
    assert (rank["outcome"], rank["reason"]) == (
        "missing",
        "the profiler did not start: RuntimeError('no profiler here')",
    )


@pytest.mark.parametrize("error", ["RuntimeError", "KeyboardInterrupt"])
def test_a_session_that_does_not_stop_crashes_nothing(capture: Runs, error: str) -> None:
    program = f"""
work()
def stop(self): raise {error}("no end")
torch.profiler.profile.stop = stop
try: dist.destroy_process_group()
except KeyboardInterrupt: pass
print("worked", torch.autograd.profiler._is_profiler_enabled)
with torch.autograd.profiler.profile() as own: x @ x
print(len(own.function_events) > 0)
"""
    rank, stdout, _ = capture(program)
    assert stdout == "worked False\nTrue\n"
    assert rank["outcome"] == "missing"


def test_a_subgroups_end_is_not_the_windows(capture: Runs) -> None:
    program = "work(2); dist.destroy_process_group(dist.new_group([0])); work(3)"
    rank, _, _ = capture(program)
    assert (rank["outcome"], rank["reason"]) == ("complete", "the process ended")
    # The new group's barrier is a collective too.
    assert capture.sized() >= 2 + 3


def test_nothing_is_kept_alive_after_the_window(capture: Runs) -> None:
    program = """
from traceana_capture.agent.call_keys import kind, shared_keys
from traceana_capture.agent.call_notes import CALLS
import gc, weakref
group = dist.new_group([0], backend="gloo")
dist.all_reduce(x, group=group)
gone = weakref.ref(group)
dist.destroy_process_group()
del group
gc.collect()
print(gone() is None, CALLS.host, CALLS.calls, kind.cache_info().currsize, shared_keys.cache_info().currsize)
"""
    assert capture(program)[1] == "True [] {} 0 0\n"


def test_torchs_collectives_are_its_own_around_the_window(capture: Runs) -> None:
    program = """
own = torch.distributed.all_reduce.__wrapped__
def show(): print(dist.all_reduce.__closure__[0].cell_contents is own)
import contextlib
with contextlib.closing(open("/dev/null")): show()
work()
show()
dist.destroy_process_group()
show()
"""
    rank, stdout, _ = capture(program, "--start-on", "contextlib:closing.__exit__")
    assert rank["outcome"] == "complete"
    assert stdout.split() == ["True", "False", "True"]


def test_code_that_may_not_be_compiled_anew_is_not(capture: Runs) -> None:
    """A graph breaks at a broadcast; torch's compiler then looks into what is called there."""
    program = """
import contextlib
def step(x):
    x = x * 2
    dist.broadcast(x, 0)
    return x + 1
compiled = torch.compile(step, backend="eager")
for _ in range(3): compiled(torch.ones(4))
torch._dynamo.config.error_on_recompile = True
with contextlib.closing(open("/dev/null")): pass
for _ in range(3): compiled(torch.ones(4))
print("worked")
"""
    rank, stdout, _ = capture(program, "--start-on", "contextlib:closing.__exit__")
    assert (rank["outcome"], stdout) == ("complete", "worked\n")
    assert capture.sized() == 3


def test_compiled_code_stays_whole(capture: Runs) -> None:
    program = """
work()
def step(x):
    dist.all_reduce(x)
    return x + 1
print(torch.compile(step, backend="eager", fullgraph=True)(torch.ones(4)).sum())
"""
    rank, stdout, _ = capture(program)
    assert rank["outcome"] == "complete"
    assert stdout == "tensor(8.)\n"


def test_a_rank_may_be_the_child_of_one_whose_window_is_over(capture: Runs) -> None:
    program = """
from torch.testing._internal.distributed.fake_pg import FakeStore
work()
dist.destroy_process_group()
child = os.fork()
if not child:
    dist.init_process_group("fake", store=FakeStore(), rank=1, world_size=2)
    work(3)
    os._exit(0)
print(os.waitpid(child, 0)[1])
"""
    done = capture.captured(program)
    assert done.returncode == 0
    assert done.stdout == "0\n"
    assert [(rank["rank"], rank["outcome"]) for rank in capture.ranks()] == [(0, "complete"), (1, "complete")]


def test_an_event_loop_does_not_take_sigterm_away(capture: Runs) -> None:
    program = """
import asyncio, signal
work()
async def main():
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, print)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.sleep(30)
    print("survived")
child = os.fork()
if not child:
    # Gloo's end would wait for its threads, which are the parent's.
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(dist.group.WORLD))
    dist.destroy_process_group()
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    work()
    asyncio.run(main())
print(os.waitpid(child, 0)[1])
"""
    done = capture.captured(program)
    assert done.returncode == 0
    assert done.stdout == "15\n"


def test_a_program_without_torch_distributed_is_recorded_by_its_steps(tmp_path: Path) -> None:
    """One GPU is the baseline of every question of scaling."""
    program = """
import contextlib, torch
for _ in range(4):
    with contextlib.closing(open("/dev/null")): torch.ones(8) @ torch.ones(8)
"""
    options = ("--step-on", "contextlib:closing.__exit__", "--warmup", "1", "--steps", "2")
    code, _, stderr = run(tmp_path / "traces", [sys.executable, "-c", program], *options)
    assert (code, complaints(stderr)) == (0, [])
    runs = Runs(tmp_path)
    (rank,) = runs.ranks()
    assert (rank["rank"], rank["outcome"], rank["reason"]) == (0, "complete", "the steps were over")
    assert sum(event["name"].startswith("step ") for event in runs.events()) == 2
    outcome = analyze(tmp_path / "report", tmp_path / "traces")
    assert outcome.exit_code == 0
    assert (outcome.run["world_size"], len(outcome.run["steps"]), outcome.run["operations"]) == (1, 2, [])


def test_a_step_that_never_comes_is_told_with_what_to_ask_for(capture: Runs) -> None:
    done = capture.captured("work()", "--warmup", "2", "--step-on", "contextlib:closing.__exit__")
    said = "the process ended while it waited: --step-on contextlib:closing.__exit__ was never called; name a function"
    assert f"no trace of rank 0: {said}" in done.stderr


def test_a_program_that_becomes_another_is_exported_first(capture: Runs) -> None:
    rank, stdout, _ = capture("work(4); os.execvp('echo', ['echo', 'other'])")
    assert (rank["outcome"], rank["reason"], stdout) == ("complete", "the process ended", "other\n")
    assert capture.sized() == 4


def test_a_stuck_export_does_not_keep_a_process_from_its_own_exit(capture: Runs) -> None:
    program = """
from traceana_capture.agent import exits
exits.EXPORT_S = 0.2
torch.profiler.profile.stop = lambda self: threading.Event().wait()
work()
os._exit(5)
"""
    assert capture.captured(program).returncode == 5


def test_a_window_that_closed_early_is_told_on_stderr(capture: Runs) -> None:
    done = capture.captured("work(20)", "--max-collectives", "7")
    assert "because --max-collectives were recorded; ask for more with --max-collectives" in done.stderr
    outcome = analyze(capture.folder / "report", capture.folder / "traces")
    assert any("because --max-collectives were recorded" in note for note in outcome.run["coverage"]["notes"])
