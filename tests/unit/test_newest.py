"""What `make newest` finds in sources, and that its list holds all that adapters need."""

from pathlib import Path

import pytest
from traceana_capture.agent.frameworks import Need

from tests import newest
from tests.wheels import missing

SOURCES = {
    "framework/base.py": "class Base:\n    def __init__(self):\n        self.ranks = []\n",
    "framework/state.py": """
from framework.base import Base
try:
    import fast
except ImportError:
    fast = None
_TP: int | None = None
class Group(Base):
    limit = 3
    def __init__(self, size, *, use_it=False):
        super().__init__()
        self.size: int = size
    @property
    def rank(self): return 0
""",
    "framework/one/wire.py": "class Library:\n    def send(self, count, comm): ...\n",
    "framework/two/wire.py": "class Library:\n    def send(self, sendcount): ...\n",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, source in SOURCES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(source)
    return tmp_path


@pytest.mark.parametrize(
    "path", ["_TP", "fast", "Group", "Group.rank", "Group.size", "Group.limit", "Group.ranks", "Group.__init__"]
)
def test_an_attribute_is_found_wherever_python_would_find_it(root: Path, path: str) -> None:
    assert missing(Need(module="framework.state", path=path), root) == ""


@pytest.mark.parametrize(
    ("need", "lack"),
    [
        (Need(module="framework.gone", path="Group"), "there is no such module"),
        (Need(module="framework.state", path="_SP"), "framework/state.py has no _SP"),
        (Need(module="framework.state", path="Group.world"), "framework/state.py: Group has no world"),
        (Need(module="framework.state", path="_TP.rank"), "framework/state.py: _TP is no class"),
        (
            Need(module="framework.state", path="Group.__init__", parameters=("size", "use_it", "use_that")),
            "framework/state.py: Group.__init__ has no parameter use_that",
        ),
        (
            Need(module=".wire", path="Library.send", parameters=("count|sendcount", "comm")),
            "framework/two/wire.py: Library.send has no parameter comm",
        ),
    ],
)
def test_what_is_missing_is_named(root: Path, need: Need, lack: str) -> None:
    assert missing(need, root) == lack


def test_each_adapter_says_what_it_needs() -> None:
    needs = newest.needs()
    assert len(needs) == len(set(needs))
    modules = {need.module.rpartition(".")[2] for need in needs}
    assert modules >= {"group_coordinator", "scheduler", "pynccl", "pynccl_wrapper", "envs", "pipeline_utils", "usp"}
