"""Which `nn.Module` issued each call: as capture wrote it, as FSDP's spans name it, or as Python's stacks show it.

A call in the backward pass belongs to the module whose forward operator has the sequence number of the autograd
function that issued it.
"""

import re
from collections.abc import Sequence

import msgspec
import numpy as np

from traceana.analyze.frames import chains, home_threads, innermost
from traceana.trace.columns import CallMetadata, Ints, ModuleName, RankTrace

NO_MODULE = -1
# torch.distributed.fsdp names its spans so: "FSDP::all_gather (blocks.3)".
_FSDP = re.compile(r"FSDP::\w+ \((.+)\)")
_INSTANCE = re.compile(r"_(\d+)$")


class IssuingModules(msgspec.Struct, frozen=True, kw_only=True):
    """`index` has one entry a call, into `names`, or NO_MODULE."""

    names: tuple[ModuleName, ...]
    index: Ints


def stated_modules(calls: Sequence[CallMetadata]) -> IssuingModules:
    """The modules of calls by what is said of each alone."""
    return _indexed([_unit(call.site or "") or call.module for call in calls])


def issuing_modules(
    trace: RankTrace, thread: Ints, at_ns: Ints, calls: Sequence[Sequence[CallMetadata]]
) -> IssuingModules:
    """The modules of what was issued at `at_ns` on `thread`; `calls` has, for each, all that is said of its call."""
    said = [next((call.module for call in of_one if call.module), None) for of_one in calls]
    rows = zip(_units(trace, thread, at_ns), said, _frames(trace, thread, at_ns), strict=True)
    return _indexed([unit or own or frame for unit, own, frame in rows])


def _indexed(modules: Sequence[ModuleName | None]) -> IssuingModules:
    codes: dict[ModuleName, int] = {}
    index = [NO_MODULE if module is None else codes.setdefault(module, len(codes)) for module in modules]
    return IssuingModules(names=tuple(codes), index=np.array(index, dtype=np.int64))


def _units(trace: RankTrace, thread: Ints, at_ns: Ints) -> list[ModuleName | None]:
    """The module whose parameters FSDP gathered or whose gradients it reduced."""
    row = innermost(trace.spans, home_threads(trace.spans, thread), at_ns)
    units = {key: _unit(trace.names[key]) for key in np.unique(trace.spans.key[row[row >= 0]]).tolist()}
    return [units.get(int(trace.spans.key[one])) if one >= 0 else None for one in row.tolist()]


def _unit(span: str) -> ModuleName | None:
    found = _FSDP.fullmatch(span)
    return ModuleName(path=found[1], kind=None, layer=None) if found else None


def _frames(trace: RankTrace, thread: Ints, at_ns: Ints) -> list[ModuleName | None]:
    """The module that was open at each call, or in whose forward pass the backward's function was made."""
    modules = trace.modules
    if not len(modules.key):
        return [None] * len(thread)
    thread, at_ns = _forward(trace, thread, at_ns)
    row = innermost(modules, home_threads(modules, thread), at_ns)
    wanted = np.unique(row[row >= 0])
    repeated = _repeated(trace)
    named = {
        one: _named([trace.names[key] for key in modules.key[list(chain)].tolist()], repeated)
        for one, chain in zip(wanted.tolist(), chains(modules, wanted), strict=True)
    }
    return [named.get(one) for one in row.tolist()]


def _forward(trace: RankTrace, thread: Ints, at_ns: Ints) -> tuple[Ints, Ints]:
    """Where and when what was issued in the backward pass had its forward; what was not stays where it is."""
    row = innermost(trace.backward, thread, at_ns)
    forward = trace.forward
    order = np.argsort(forward.key, kind="stable")
    inside = np.flatnonzero(row >= 0)
    if not len(inside) or not len(order):
        return thread, at_ns
    number = trace.backward.key[row[inside]]
    # The last operator of a number is the one that made the function: those before it only looked at the number.
    place = np.searchsorted(forward.key[order], number, side="right") - 1
    known = (place >= 0) & (forward.key[order[np.maximum(place, 0)]] == number)
    thread, at_ns = thread.copy(), at_ns.copy()
    source = order[place[known]]
    thread[inside[known]], at_ns[inside[known]] = forward.thread[source], forward.start_ns[source]
    return thread, at_ns


def _repeated(trace: RankTrace) -> frozenset[str]:
    """Classes of which several modules ran; Kineto numbers a class's modules, `Block_0`, `Block_1`."""
    names = [trace.names[key] for key in np.unique(trace.modules.key).tolist()]
    kinds = [_INSTANCE.sub("", name) for name in names]
    return frozenset(kind for kind in set(kinds) if kinds.count(kind) > 1)


def _named(chain: Sequence[str], repeated: frozenset[str]) -> ModuleName:
    """By classes, with the number of the outermost repeated one, `Block.3.Attention`.

    `chain` are the open modules, the outermost first, which alone is no part of the path.
    """
    inner = chain[1:] or chain
    kinds = [_INSTANCE.sub("", name) for name in inner]
    at = next((at for at, kind in enumerate(kinds) if kind in repeated), None)
    if at is None:
        return ModuleName(path=".".join(kinds), kind=kinds[-1], layer=None)
    number = inner[at].removeprefix(f"{kinds[at]}_")
    return ModuleName(path=".".join([*kinds[: at + 1], number, *kinds[at + 1 :]]), kind=kinds[-1], layer=kinds[at])
