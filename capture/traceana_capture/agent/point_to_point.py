"""Taps what c10d sends from rank to rank: `send`, `recv`, `isend`, `irecv` and `batch_isend_irecv` all come here.

The tap sits at the process group's own methods, because c10d compares `isend` and `irecv` with themselves. NCCL
describes its own calls.
"""

import functools
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist

from traceana_capture.agent.call_keys import C10D, shared_keys
from traceana_capture.agent.call_notes import CALLS, Call

# The group's method -> c10d's word, and its word for the other rank.
METHODS = {"send": ("send", "Dst Rank"), "recv": ("recv", "Src Rank"), "recv_anysource": ("recv", "")}


def _described(names: tuple[str, str], group: Any, tensors: Any, peer: Any) -> Call | None:
    """What the call is; None on a GPU, or where the arguments are wrong."""
    word, role = names
    try:
        if not tensors[0].is_cpu:
            return None
        other = (role, int(peer)) if role else None
        keys = shared_keys(word, tensors[0].dtype, group, C10D, "gloo", other)
        elements = sum(tensor.numel() for tensor in tensors)
        return keys, elements, elements, None
    except Exception:  # whatever it is, c10d says it better
        return None


def _noted(original: Callable[..., Any], names: tuple[str, str]) -> Any:
    @functools.wraps(original)
    def call(group: Any, tensors: Any, *args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling() or CALLS.inside.call:
            return original(group, tensors, *args, **kwargs)
        CALLS.come()
        what = _described(names, group, tensors, args[0] if args else None) if CALLS.recording else None
        if what is None:
            with CALLS.placed():
                return original(group, tensors, *args, **kwargs)
        begin = time.time_ns()
        work = original(group, tensors, *args, **kwargs)
        CALLS.note(what, begin, begun=True)
        return work

    return call


ORIGINALS: dict[str, Any] = {name: vars(dist.ProcessGroup)[name] for name in METHODS if name in vars(dist.ProcessGroup)}
NOTED = {name: _noted(original, METHODS[name]) for name, original in ORIGINALS.items()}


def tap(wanted: bool) -> None:
    """Have these calls come here, or leave them as torch made them."""
    for name, method in (NOTED if wanted else ORIGINALS).items():
        setattr(dist.ProcessGroup, name, method)
