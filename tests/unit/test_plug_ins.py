"""What other packages add by entry points: rows of the table of kernels, and communicators for capture."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from traceana_capture.agent import routes
from traceana_capture.agent.adapters import plug_ins as adapters_of_others
from traceana_capture.agent.adapters import watch_imports
from traceana_capture.agent.call_notes import Calls
from traceana_capture.launcher.backends import carrier
from traceana_capture.launcher.publish import record

import traceana
from tests.synthetic import Call, Run, write_run
from tests.unit.test_capture_adapters import triggers
from traceana import plug_ins
from traceana.errors import TraceanaError

ROWS = """
KERNELS = [
    {"regex": r"\\bring_exchange", "library": "mycomm", "backend": "MyComm", "operation": "all_reduce"},
    {"regex": r"nccl_lookalike", "library": None},
]
WRONG = [{"regex": "x", "library": "mycomm", "operation": "sum"}]
"""
COMMUNICATOR = """
class Communicator:
    def __init__(self, group): self.process_group = group
    def sum(self, tensor): return tensor + 1
    def gather(self, tensor): return tensor
"""
CALLS = {"backend": "MyComm", "calls": {"Communicator.sum": "all_reduce", "Communicator.gather": "all_gather"}}


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Puts a distribution with these entry points and modules onto sys.path."""

    def installed(group: str, points: dict[str, str], **modules: str) -> None:
        info, package = tmp_path / "mycomm-1.0.dist-info", tmp_path / "mycomm"
        for folder in (info, package):
            folder.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mycomm\nVersion: 1.0\n")
        lines = "".join(f"{name} = {value}\n" for name, value in points.items())
        (info / "entry_points.txt").write_text(f"[{group}]\n{lines}")
        for name, source in {"__init__": "", **modules}.items():
            (package / f"{name}.py").write_text(source)
        forget()

    def forget() -> None:
        plug_ins.kernels.cache_clear()
        adapters_of_others._points.cache_clear()
        for name in [name for name in sys.modules if name.partition(".")[0] == "mycomm"]:
            del sys.modules[name]

    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.setattr(routes, "FAULTS", [])
    yield installed
    forget()


def ring(folder: Path) -> Path:
    call = Call(op="all_reduce", nelems=1 << 16, metadata=False, kernel_name="ring_exchange<float>(float*)")
    write_run(folder, Run(world_size=2, calls=(call,)))
    return folder


def test_kernels_of_another_package_are_communication(install: Any, tmp_path: Path) -> None:
    install(plug_ins.GROUP, {"mine": "mycomm.rows:KERNELS"}, rows=ROWS)
    run = traceana.read(ring(tmp_path / "run"), workers=1)
    assert set(run.calls["op"]) == {"all_reduce"}
    assert set(run.calls["library"]) == {"mycomm"}
    assert set(run.calls["backend"]) == {"MyComm"}
    assert not any("matches no kernel" in note for note in run.report.coverage.notes)
    assert carrier("ring_exchange<float>(float*)") == "MyComm"
    assert carrier("nccl_lookalike") is None


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("mycomm.rows:WRONG", r"of mycomm 1\.0, mycomm\.rows:WRONG: ValueError: operation 'sum' is none of"),
        ("mycomm.nowhere:KERNELS", r"ModuleNotFoundError: No module named 'mycomm\.nowhere'; correct or uninstall"),
    ],
)
def test_wrong_rows_end_an_analysis_and_no_capture(install: Any, tmp_path: Path, value: str, message: str) -> None:
    install(plug_ins.GROUP, {"mine": value}, rows=ROWS)
    with pytest.raises(TraceanaError, match=message):
        traceana.read(ring(tmp_path / "run"), workers=1)
    assert carrier("ncclDevKernel_AllReduce_Sum_f32_RING_LL(x)") == "NCCL"


def test_a_communicator_of_another_package_has_its_sizes(install: Any, noted: Calls) -> None:
    description = f"DESCRIPTION = {CALLS | {'group': 'process_group'}}"
    point = {"mycomm.communicator": "mycomm.described:DESCRIPTION"}
    install(adapters_of_others.GROUP, point, communicator=COMMUNICATOR, described=description)
    watch_imports(triggers()[0], "asis")
    importlib.import_module("mycomm")
    assert "mycomm.described" not in sys.modules
    communicator = importlib.import_module("mycomm.communicator").Communicator(dist.group.WORLD)
    assert communicator.sum(torch.ones(8))[0] == 2
    communicator.gather(torch.ones(4, dtype=torch.bfloat16))
    facts = noted.export()
    found = [record(facts["keys"], facts["modules"], call) for call in facts["calls"]]
    assert [(one["Collective name"], one["In msg nelems"], one["dtype"]) for one in found] == [
        ("allreduce", 8, "Float"),
        ("_allgather_base", 4, "BFloat16"),
    ]
    assert {(one["traceana backend"], one["traceana library"], one["Group size"]) for one in found} == {
        ("MyComm", "mycomm 1.0", 1)
    }
    assert routes.FAULTS == []


@pytest.mark.parametrize(
    ("description", "fault"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("{'backend': 'MyComm'}", "KeyError: 'calls'"),
        ("{'backend': 'MyComm', 'calls': {'sum': 'add'}}", "ValueError: add is none of all_reduce"),
        ("{'backend': 'MyComm', 'calls': {'Other.sum': 'all_reduce'}}", "has no Other.sum"),
        ("{'backend': 'MyComm', 'calls': {}, 'version': 1}", "there is no version, only"),
    ],
)
def test_a_wrong_description_is_noted_once_and_breaks_nothing(
    install: Any, description: str, fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    point = {"mycomm.communicator": "mycomm.described:DESCRIPTION"}
    install(adapters_of_others.GROUP, point, communicator=COMMUNICATOR, described=f"DESCRIPTION = {description}")
    watch_imports(triggers()[0], "asis")
    communicator = importlib.import_module("mycomm.communicator").Communicator(None)
    assert communicator.sum(torch.ones(8))[0] == 2
    assert len(routes.FAULTS) == 1
    assert routes.FAULTS[0].startswith("traceana.adapters mycomm.communicator (mycomm.described:DESCRIPTION): ")
    assert fault in routes.FAULTS[0]
    assert capsys.readouterr().err == ""
