"""What process groups are for, where torch's own description of them does not tell.

Sglang's diffusion runtime (0.5.23) gives its groups none, and a mesh of one axis over all ranks takes the default
group.
"""

import functools
import sys
from typing import Any

import torch.distributed as dist

STATE = "sglang.multimodal_gen.runtime.distributed.parallel_state"
# The runtime's coordinators and what they divide; `_SP` has its parts in groups of their own.
COORDINATORS = {"_TP": "tp", "_PP": "pp", "_SP": "sp", "_CFG": "cfg", "_DP": "dp"}
PARTS = {"ulysses_group": "ulysses", "ring_group": "ring"}
# What torch says of groups that nobody described.
SILENT = ("undefined", "default_pg")
_MESHES: dict[str, str] = {}


def watch_meshes() -> None:
    """Remember the axes of meshes, as torch names them for the groups that it makes for one."""
    original = dist.device_mesh.init_device_mesh

    @functools.wraps(original)
    def init_device_mesh(*args: Any, **kwargs: Any) -> Any:
        mesh = original(*args, **kwargs)
        try:
            for axis in mesh.mesh_dim_names or ():
                _MESHES.setdefault(mesh.get_group(axis).group_name, f"mesh_{axis}")
        except Exception:  # another version's mesh; its groups stay as torch describes them
            return mesh
        return mesh

    modules: tuple[Any, ...] = (dist, dist.device_mesh)
    for module in modules:
        if hasattr(module, "init_device_mesh"):
            module.init_device_mesh = init_device_mesh


def descriptions() -> dict[str, str]:
    """By their names what groups of several ranks are for, as far as it is known."""
    state: Any = sys.modules.get(STATE)
    found: dict[str, str] = {}
    for attribute, word in COORDINATORS.items():
        coordinator = getattr(state, attribute, None)
        groups = {"device_group": word, "cpu_group": word} | (PARTS if word == "sp" else {})
        for name, meaning in groups.items():
            group = getattr(coordinator, name, None)
            if group is not None and dist.get_world_size(group) > 1:
                found.setdefault(str(group.group_name), meaning)
    return _MESHES | found
