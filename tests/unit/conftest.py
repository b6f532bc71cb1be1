"""What several unit tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch.distributed as dist
from traceana_capture.agent import direct
from traceana_capture.agent.call_keys import forget_groups
from traceana_capture.agent.call_notes import Calls


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Calls]:
    """What capture notes of calls beside c10d, in a group of this process alone whose window is open."""
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    fresh = Calls()
    fresh.recording = True
    monkeypatch.setattr(direct, "CALLS", fresh)
    yield fresh
    forget_groups()
    dist.destroy_process_group()
