"""Adapters of sglang's language runtime, vLLM and diffusers, by stand-ins of what they wrap."""

import importlib
import importlib.abc
import importlib.machinery
import sys
import types
from typing import Any
from unittest import mock

import pytest
import torch
import torch.distributed as dist
from traceana_capture.agent import adapters, choices, routes
from traceana_capture.agent.adapters import diffusers, hooks, sglang_diffusion, sglang_srt, vllm, vllm_torch
from traceana_capture.agent.triggers import Triggers
from traceana_capture.launcher import backends

from tests.unit.test_capture_triggers import Noted


def triggers(**options: Any) -> tuple[Triggers, Noted]:
    window: Any = Noted()
    settings = {"start_on": "", "step_on": "", "warmup": 0, "steps": 0, **options}
    return Triggers(settings, window, adapters.has_requests), window


@pytest.fixture(autouse=True)
def versions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda name: {"sglang": "0.5.23", "vllm": "0.11.0"}[name])
    monkeypatch.setattr(routes, "ADAPTERS", [])


class SrtCoordinator:
    """The arguments of sglang 0.5.23's class that its adapter changes."""

    def __init__(
        self,
        world_size: int,
        use_pynccl: bool,
        use_mscclpp: bool,
        use_custom_allreduce: bool,
        use_torch_symm_mem_all_reduce: bool,
        available: bool = True,
    ) -> None:
        self.world_size = world_size
        self.others = (use_mscclpp, use_custom_allreduce, use_torch_symm_mem_all_reduce)
        made = types.SimpleNamespace(available=available, disabled=True)
        self.pynccl_comm = made if use_pynccl else None


def srt(coordinator: Any = SrtCoordinator) -> Any:
    module: Any = types.ModuleType(sglang_srt.COORDINATOR)
    module.GroupCoordinator = coordinator and type("GroupCoordinator", (coordinator,), {})
    return module


@pytest.mark.parametrize("backend", ["torch", "pynccl"])
def test_sglang_srt_leaves_only_the_backend(backend: str) -> None:
    module = srt()
    sglang_srt.wrap(module, triggers()[0], backend)
    coordinator = module.GroupCoordinator(2, backend == "torch", True, use_custom_allreduce=True, **SYMMETRIC)
    assert coordinator.others == (False, False, False)
    assert (coordinator.pynccl_comm is None) == (backend == "torch")
    assert backend == "torch" or not coordinator.pynccl_comm.disabled
    assert routes.ADAPTERS == ["sglang srt 0.5.23"]


SYMMETRIC = {"use_torch_symm_mem_all_reduce": True}
SRT_WAYS = {"custom": "set_custom_all_reduce", "symm_mem": "set_torch_symm_mem_all_reduce"}


def switched(module: Any) -> dict[str, bool]:
    """The module's switches of ways, and what they were last set to."""
    set_to: dict[str, bool] = {}
    for name in SRT_WAYS.values():
        setattr(module, name, lambda enable, name=name: set_to.update({name: enable}))
    return set_to


@pytest.mark.parametrize("backend", SRT_WAYS)
def test_sglang_srts_own_ways_are_kept_on_for_the_groups_that_sglang_gives_them(backend: str) -> None:
    module = srt()
    set_to = switched(module)
    sglang_srt.wrap(module, triggers()[0], backend)
    getattr(module, SRT_WAYS[backend])(False)
    assert set_to == {SRT_WAYS[backend]: True}
    with_ways = module.GroupCoordinator(2, True, True, use_custom_allreduce=True, **SYMMETRIC)
    without = module.GroupCoordinator(2, True, False, False, False)
    assert with_ways.others == (False, backend == "custom", backend == "symm_mem")
    assert without.others == (False, False, False)
    # What is left is sglang's to send, as it would have.
    assert with_ways.pynccl_comm.disabled
    assert routes.ADAPTERS == ["sglang srt 0.5.23"]


def test_a_sglang_srt_without_the_way_or_its_switch_is_refused() -> None:
    with pytest.raises(RuntimeError, match="set_torch_symm_mem_all_reduce is missing"):
        sglang_srt.wrap(srt(), triggers()[0], "symm_mem")
    # The diffusion runtime, which has it, loads this module too.
    module = srt()
    sglang_srt.wrap(module, triggers()[0], "ipc")
    with pytest.raises(RuntimeError, match=r"--backend ipc cannot be done: sglang srt .* has no such way"):
        module.GroupCoordinator(2, True, False, False, False)


def test_groups_of_sglang_srt_in_the_diffusion_runtime_do_not_refuse_what_that_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, sglang_srt.DIFFUSION, types.ModuleType(sglang_srt.DIFFUSION))
    module = srt()
    sglang_srt.wrap(module, triggers()[0], "ipc")
    coordinator = module.GroupCoordinator(2, True, True, use_custom_allreduce=True, **SYMMETRIC)
    assert coordinator.others == (False, False, False)
    assert coordinator.pynccl_comm.disabled, "what goes through NCCL is sglang's to send"


def test_sglang_srt_without_a_communicator_is_refused() -> None:
    module = srt()
    sglang_srt.wrap(module, triggers()[0], "pynccl")
    with pytest.raises(RuntimeError, match="could not make its PyNccl communicator"):
        module.GroupCoordinator(2, True, False, False, False, available=False)


@pytest.mark.parametrize(
    ("coordinator", "message"),
    [
        (None, "GroupCoordinator is missing"),
        (object, "use_custom_allreduce, use_mscclpp, use_pynccl"),
    ],
)
def test_a_sglang_srt_without_what_is_needed_is_refused(coordinator: Any, message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        sglang_srt.wrap(srt(coordinator), triggers()[0], "torch")


def vllm_module(monkeypatch: pytest.MonkeyPatch, *variables: str) -> Any:
    envs: Any = types.ModuleType("vllm.envs")
    envs.environment_variables = dict.fromkeys(variables)
    monkeypatch.setitem(sys.modules, "vllm", types.ModuleType("vllm"))
    monkeypatch.setitem(sys.modules, "vllm.envs", envs)
    module: Any = types.ModuleType(vllm.PARALLEL)
    module._ENABLE_CUSTOM_ALL_REDUCE = True

    def set_custom_all_reduce(enable: bool) -> None:
        module._ENABLE_CUSTOM_ALL_REDUCE = enable

    module.set_custom_all_reduce = set_custom_all_reduce
    return module


def test_vllm_keeps_custom_all_reduce_off(monkeypatch: pytest.MonkeyPatch) -> None:
    module = vllm_module(monkeypatch, choices.VLLM_PYNCCL)
    vllm.wrap(module, triggers()[0], "torch")
    module.set_custom_all_reduce(True)
    assert module._ENABLE_CUSTOM_ALL_REDUCE is False
    assert routes.ADAPTERS == ["vLLM 0.11.0 (not tried; has all that is needed)"]
    assert [backends.environment(asked)[choices.VLLM_PYNCCL] for asked in ("torch", "pynccl")] == ["1", "0"]
    assert backends.environment("torch")[choices.VLLM_NCCL_SYMMETRIC] == "0"
    assert backends.environment("asis") == {}


@pytest.mark.parametrize("backend", ["custom", "symm_mem"])
def test_vllms_own_ways_are_kept_as_asked(monkeypatch: pytest.MonkeyPatch, backend: str) -> None:
    variables = backends.environment(backend)
    assert variables[choices.VLLM_SYMMETRIC] == ("1" if backend == "symm_mem" else "0")
    assert choices.VLLM_PYNCCL not in variables
    module = vllm_module(monkeypatch, choices.VLLM_SYMMETRIC)
    vllm.wrap(module, triggers()[0], backend)
    module.set_custom_all_reduce(backend != "custom")
    assert module._ENABLE_CUSTOM_ALL_REDUCE is (backend == "custom")


def test_a_vllm_that_has_no_such_way_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError, match="does not know VLLM_ALLREDUCE_USE_SYMM_MEM"):
        vllm.wrap(vllm_module(monkeypatch), triggers()[0], "symm_mem")
    module = vllm_module(monkeypatch)
    vllm.wrap(module, triggers()[0], "ipc")
    with pytest.raises(RuntimeError, match=r"--backend ipc cannot be done: vLLM .* has no such way"):
        module.set_custom_all_reduce(enable=True)
    assert routes.ADAPTERS == []


def test_vllms_flashinfer_is_kept_off_with_what_it_fuses(monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = types.ModuleType(vllm.FLASHINFER)
    module.get_fi_ar_workspace = module.get_fi_ar_quant_workspace = lambda **_: object()
    vllm.wrap(module, triggers()[0], "asis")
    assert module.get_fi_ar_workspace(world_size=2) is not None
    vllm.wrap(module, triggers()[0], "pynccl")
    assert module.get_fi_ar_workspace(world_size=2) is module.get_fi_ar_quant_workspace(world_size=2) is None


@pytest.mark.parametrize("backend", choices.CHOICES)
def test_every_backend_turns_flashinfers_all_reduces_off(backend: str) -> None:
    off = {name for name, value in backends.environment(backend).items() if value == "0"}
    assert off >= {"VLLM_ALLREDUCE_USE_FLASHINFER", "VLLM_ALLREDUCE_USE_FLASHINFER_PCIE_IPC"}
    assert "SGLANG_ENABLE_PCIE_IPC_ALLREDUCE" in off


class CommunicatorBase:
    """What vLLM's communicators inherit, which goes by torch.distributed."""

    def reduce_scatter(self, input_: Any, dim: int = -1) -> Any:
        return "reduced by torch"

    def broadcast(self, tensor: Any, src: int = 0) -> Any:
        return "told by torch"

    def all_gather(self, input_: Any, dim: int = -1) -> Any:
        return f"{input_.dtype} gathered by torch"


class CudaCommunicator(CommunicatorBase):
    """The methods of vLLM 0.33's class that know no other way than PyNccl."""

    device_group, world_size, rank_in_group = None, 1, 0

    def reduce_scatter(self, input_: Any, dim: int = -1) -> Any:
        return torch.empty(0)

    def broadcast(self, tensor: Any, src: int = 0) -> Any:
        raise ValueError("No PyNCCL communicator found")

    def all_gatherv(self, input_: Any, dim: int = 0, sizes: Any = None) -> Any:
        raise AssertionError

    def reduce_scatterv(self, input_: Any, dim: int = -1, sizes: Any = None) -> Any:
        raise AssertionError


def communicators(backend: str) -> Any:
    module: Any = types.ModuleType(vllm_torch.COMMUNICATOR)
    module.CudaCommunicator = type("CudaCommunicator", (CommunicatorBase,), dict(vars(CudaCommunicator)))
    vllm.wrap(module, triggers()[0], backend)
    return module.CudaCommunicator()


def test_vllms_calls_that_know_pynccl_alone_go_by_torch_where_it_is_off() -> None:
    communicator, rows = communicators("torch"), torch.arange(6.0).reshape(3, 2)
    assert communicator.reduce_scatter(rows) == communicator.reduce_scatterv(rows) == "reduced by torch"
    assert communicator.broadcast(rows) == "told by torch"
    assert communicator.all_gatherv(rows) == "torch.float32 gathered by torch"
    assert communicator.all_gatherv([rows, rows.to(torch.int32)], sizes=[3, 3]) == [
        "torch.float32 gathered by torch",
        "torch.int32 gathered by torch",
    ]


def test_vllms_rows_that_differ_by_rank_go_by_torch_as_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two ranks this is the second, and the first has three of five rows."""
    monkeypatch.setattr(dist, "all_gather", lambda parts, mine, group: [part.fill_(len(part)) for part in parts])
    monkeypatch.setattr(dist, "reduce_scatter", lambda out, parts, group: out.copy_(parts[1]))
    communicator, rows = communicators("torch"), torch.arange(10.0).reshape(5, 2)
    communicator.rank_in_group = 1
    assert communicator.all_gatherv(rows[3:], 0, [3, 2])[:, 0].tolist() == [3, 3, 3, 2, 2]
    assert communicator.reduce_scatterv(rows, 0, [3, 2]).equal(rows[3:])


@pytest.mark.parametrize("backend", ["asis", "pynccl", "custom", "symm_mem"])
def test_vllms_calls_are_its_own_where_pynccl_is_on(backend: str) -> None:
    with pytest.raises(ValueError, match="No PyNCCL communicator"):
        communicators(backend).broadcast(None)


def test_a_vllm_without_its_switches_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError, match="does not know VLLM_DISABLE_PYNCCL"):
        vllm.wrap(vllm_module(monkeypatch), triggers()[0], "torch")
    module = vllm_module(monkeypatch, choices.VLLM_PYNCCL)
    del module.set_custom_all_reduce
    with pytest.raises(RuntimeError, match=r"vllm\.distributed\.parallel_state\.set_custom_all_reduce is missing"):
        vllm.wrap(module, triggers()[0], "pynccl")


def test_requests_open_the_window_but_warm_ups_do_not() -> None:
    made, window = triggers()
    module: Any = types.ModuleType(vllm.WORKER)
    module.Worker = type("Worker", (), {"execute_model": lambda self, batch: batch})
    vllm.wrap(module, made, "asis")
    warm_up = types.SimpleNamespace(is_warmup=True)
    module.Worker().execute_model(warm_up)
    module.Worker().execute_model([warm_up, warm_up])
    assert window.events == []
    module.Worker().execute_model("batch")
    assert window.events == ["open"]


def test_a_span_that_cannot_be_named_after_its_arguments_costs_only_the_name() -> None:
    hook = hooks.Hook(owner="Stage", method="run", span=sglang_diffusion.denoise_step, step=True)
    run = hooks.hooked(lambda self, value: value + 1, hook, triggers()[0])
    with torch.profiler.profile(acc_events=True) as profiler:
        assert run(None, 1) == 2
    assert "run" in {event.name for event in profiler.events()}


def test_a_module_that_is_not_as_it_was_loads_all_the_same(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    package = tmp_path / "changed"
    package.mkdir()
    (package / "pynccl_wrapper.py").write_text("value = 3\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    # What is loaded here would be wrapped again by whoever watches next.
    with mock.patch.dict(sys.modules):
        adapters.watch_imports(triggers()[0], "asis")
        assert importlib.import_module("changed.pynccl_wrapper").value == 3
    assert "changed.pynccl_wrapper is not as we know it" in capsys.readouterr().err


def test_modules_are_found_as_the_program_finds_them(monkeypatch: pytest.MonkeyPatch) -> None:
    class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
        def find_spec(self, fullname: str, path: Any, target: Any = None) -> Any:
            return importlib.machinery.ModuleSpec(fullname, self) if fullname == "made_up_steps" else None

        def exec_module(self, module: Any) -> None:
            module.step = lambda: 3

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder()])
    made, window = triggers(step_on="made_up_steps:step", steps=1)
    adapters.watch_imports(made, "asis")
    assert importlib.import_module("made_up_steps").step() == 3
    assert window.events == ["open", "close"]


def test_a_missing_method_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    hooks.install(types.ModuleType(sglang_srt.SCHEDULER), sglang_srt.HOOKS, triggers()[0])
    assert "sglang.srt.managers.scheduler.Scheduler.run_batch is missing" in capsys.readouterr().err


def program(made: Triggers, window: Noted) -> Any:
    """A pipeline and a scheduler of three timesteps, made as diffusers makes its own."""
    pipelines, schedulers = types.ModuleType(diffusers.PIPELINES), types.ModuleType(diffusers.SCHEDULERS)
    pipelines.DiffusionPipeline = type("DiffusionPipeline", (), {})  # type: ignore[attr-defined]
    schedulers.SchedulerMixin = type("SchedulerMixin", (), {})  # type: ignore[attr-defined]
    for module in (pipelines, schedulers):
        assert diffusers.knows(module.__name__)
        diffusers.wrap(module, made, "asis")

    class Scheduler(schedulers.SchedulerMixin):  # type: ignore[misc, name-defined]
        timesteps: list[int]

        def set_timesteps(self, count: int) -> None:
            self.timesteps = list(range(count))

        def step(self, timestep: int) -> int:
            window.events.append(timestep)
            return timestep

    class Refined(Scheduler):
        def step(self, timestep: int) -> int:
            return super().step(timestep)

    class Pipeline(pipelines.DiffusionPipeline):  # type: ignore[misc, name-defined]
        scheduler = Refined()

        def __call__(self, steps: int) -> list[int]:
            self.scheduler.set_timesteps(3)
            return [self.scheduler.step(timestep) for timestep in self.scheduler.timesteps[:steps]]

    return Pipeline()


def test_diffusers_steps_bound_the_window() -> None:
    made, window = triggers(warmup=1, steps=1)
    assert program(made, window)(3) == [0, 1, 2]
    assert window.events == [0, "open", 1, "close", 2]


def test_a_scheduler_of_diffusers_marks_no_steps_under_sglang(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, sglang_diffusion.WORKER, types.ModuleType("worker"))
    made, window = triggers(warmup=1, steps=1)
    assert program(made, window)(3) == [0, 1, 2]
    assert window.events == [0, 1, 2]


def test_diffusers_spans(tmp_path: Any) -> None:
    made, window = triggers()
    pipeline = program(made, window)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], acc_events=True) as profiler:
        pipeline(3)
        # Image to image leaves timesteps out: its last step's span ends with the call.
        pipeline(1)
    names = [event.name for event in profiler.events() or () if " " in event.name]
    assert sorted(names) == [
        *("denoise_step 0", "denoise_step 0", "denoise_step 1", "denoise_step 1", "denoise_step 2"),
        *("pipeline Pipeline", "pipeline Pipeline"),
    ]


def test_optimizer_steps_bound_the_window_of_a_training() -> None:
    made, window = triggers(warmup=1, steps=2)
    for number in range(4):
        made.collective()
        window.events.append(number)
        made.optimizer_step()
    assert window.events == [0, "open", 1, 2, "close", 3]


def test_an_optimizers_step_opens_the_window_of_ddp_whose_collectives_we_do_not_see() -> None:
    made, window = triggers()
    made.optimizer_step()
    assert window.events == ["open"]


def test_a_process_of_a_framework_with_requests_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not adapters.has_requests()
    monkeypatch.setitem(sys.modules, vllm.WORKER, types.ModuleType(vllm.WORKER))
    assert adapters.has_requests()
