"""How many collectives this process issued so far, by torch's own numbers, which cost no call anything."""

import contextlib
from typing import Any

from torch.distributed import distributed_c10d

from traceana_capture.agent.call_notes import CALLS


def collectives() -> int:
    """Those of all its process groups, and those that c10d does not carry; ranks that do the same count alike.

    Groups whose backend does not count its calls are left out.
    """
    found = 0
    groups: list[Any] = list(distributed_c10d._world.pg_map)
    for group in groups:
        with contextlib.suppress(AttributeError, RuntimeError):
            found += group._get_sequence_number_for_group()
    return found + CALLS.direct
