"""What a process group is for, where torch was not told: from sglang's own state, through to the trace's header."""

import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch.distributed as dist
from traceana_capture.agent import flight, group_names
from traceana_capture.launcher.flight import Group
from traceana_capture.launcher.publish import describe_groups


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Any]:
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield dist.group.WORLD
    dist.destroy_process_group()


def test_sglangs_groups_are_named_by_what_they_divide(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    state: Any = types.ModuleType(group_names.STATE)
    alone: Any = dist.new_group([0])
    monkeypatch.setattr(dist, "get_world_size", lambda group=None: 1 if group is alone else 2)
    tp, ulysses = dist.new_group([0]), dist.new_group([0])
    state._TP = types.SimpleNamespace(device_group=tp, cpu_group=alone)
    state._SP = types.SimpleNamespace(
        device_group=dist.new_group([0]), cpu_group=None, ulysses_group=ulysses, ring_group=alone
    )
    monkeypatch.setitem(sys.modules, group_names.STATE, state)
    named = {name: keys["Process Group Description"] for name, (keys, _) in flight.groups().items()}
    assert (named[tp.group_name], named[ulysses.group_name]) == ("tp", "ulysses")
    assert (named[alone.group_name], named[world.group_name]) == ("undefined", "default_pg")


def test_a_mesh_of_one_axis_over_all_ranks_names_the_default_group(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_names, "_MESHES", {})
    for module in (dist, dist.device_mesh):
        monkeypatch.setattr(module, "init_device_mesh", dist.device_mesh.init_device_mesh)
    group_names.watch_meshes()
    mesh = dist.device_mesh.init_device_mesh("cpu", (1,), mesh_dim_names=("tp",))
    assert mesh.get_group("tp").group_name == world.group_name
    keys, _ = flight.groups()[world.group_name]
    assert keys["Process Group Description"] == "mesh_tp"


def test_the_trace_says_it_only_where_torch_did_not() -> None:
    configs = [{"pg_name": "1", "pg_desc": "undefined"}, {"pg_name": "2", "pg_desc": "mesh_dp"}, {"pg_name": "3"}]
    groups = {name: Group(keys={"Process Group Description": "tp"}, numbered=False) for name in ("1", "2")}
    describe_groups({"distributedInfo": {"pg_config": configs}}, groups)
    describe_groups({}, groups)
    assert [config.get("pg_desc") for config in configs] == ["tp", "mesh_dp", None]
