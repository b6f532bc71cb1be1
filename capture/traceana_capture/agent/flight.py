"""What torch's flight recorder kept of gloo's collectives: also of those that C++ and the dispatcher issue.

DDP's reducer, FSDP, functional collectives and DTensor show in no function of Python. The recorder is torch's own and
keeps the latest calls anyway; it is read once, when the window is over.
"""

import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed import distributed_c10d

from traceana_capture.agent import group_names
from traceana_capture.agent.call_keys import DESCRIPTION, group_keys


def write(path: Path) -> None:
    """Write all that the recorder holds to `path`, as torch's JSON; nothing where this torch has none."""
    dump: Any = getattr(torch._C._distributed_c10d, "_dump_fr_trace_json", None)
    if dump is None:
        return
    try:
        # Collectives, and not only those under way.
        path.write_bytes(dump(True, False))
    except Exception as error:
        sys.stderr.write(f"traceana: torch's flight recorder told nothing, so gloo's calls may miss sizes: {error!r}\n")


def groups() -> dict[str, tuple[dict[str, Any], bool]]:
    """By their names what is said of this process's groups, and whether the recorder's numbers count all their calls.

    They count the calls of gloo only, and a group may have another backend beside it.
    """
    found: dict[str, tuple[dict[str, Any], bool]] = {}
    known = group_names.descriptions()
    for group, name in list(distributed_c10d._world.pg_names.items()):
        try:
            keys = group_keys(group)
            if keys[DESCRIPTION] in group_names.SILENT:
                keys[DESCRIPTION] = known.get(str(name), keys[DESCRIPTION])
            found[str(name)] = keys, dist.get_backend(group) == "gloo"
        except (AttributeError, KeyError, RuntimeError, ValueError):
            continue
    return found
