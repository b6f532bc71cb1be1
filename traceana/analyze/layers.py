"""The report's rows by module and by parallel axis."""

import re
from collections import defaultdict

import numpy as np

from traceana.analyze.calls import Calls
from traceana.analyze.statistics import distribution
from traceana.report import AxisCalls, LayerCalls, ModuleCalls
from traceana.trace.columns import Bools, Ints, ModuleName

MOST_MODULES = 256
MOST_LAYERS = 200
# The first name on a path that is a number is the layer's.
_NUMBER = re.compile(r"(?:^|(?<=\.))\d+(?=\.|$)")
_LayerKey = tuple[str, str | None, str | None]


def layer_calls(calls: Calls, rows: Bools) -> tuple[LayerCalls, ...]:
    """One row a place in the layers, those with the most exposed time first; calls of unknown modules are in none."""
    known = np.flatnonzero(rows & (calls.module >= 0))
    of_module = {code: known[calls.module[known] == code] for code in np.unique(calls.module[known]).tolist()}
    groups: dict[_LayerKey, list[int]] = defaultdict(list)
    for code in of_module:
        groups[_key(calls.modules[code])].append(code)
    found = [_layer(calls, key, {code: of_module[code] for code in codes}) for key, codes in groups.items()]
    return tuple(sorted(found, key=lambda row: (-row.exposed_ns, -row.sum_ns))[:MOST_LAYERS])


def _key(module: ModuleName) -> _LayerKey:
    """Modules of one class at one place of their layers."""
    return _NUMBER.sub("*", module.path, count=1) or module.kind or "", module.kind, module.layer


def _layer(calls: Calls, key: _LayerKey, of_module: dict[int, Ints]) -> LayerCalls:
    pattern, kind, layer = key
    numbers = {found[0] for code in of_module if (found := _NUMBER.search(calls.modules[code].path))}
    modules = [_module(calls, calls.modules[code], rows) for code, rows in of_module.items()]
    count, p50, transfer, total, exposed, wait = _figures(calls, np.concatenate(list(of_module.values())))
    return LayerCalls(
        layer=layer,
        layers=len(numbers),
        path=pattern,
        module=kind,
        count=count,
        p50_ns=p50,
        transfer_p50_ns=transfer,
        sum_ns=total,
        exposed_ns=exposed,
        wait_ns=wait,
        modules=tuple(sorted(modules, key=lambda row: (-row.exposed_ns, -row.sum_ns))[:MOST_MODULES]),
    )


def _module(calls: Calls, module: ModuleName, rows: Ints) -> ModuleCalls:
    count, p50, transfer, total, exposed, wait = _figures(calls, rows)
    return ModuleCalls(
        path=module.path or module.kind or "",
        count=count,
        p50_ns=p50,
        transfer_p50_ns=transfer,
        sum_ns=total,
        exposed_ns=exposed,
        wait_ns=wait,
    )


def _figures(calls: Calls, rows: Ints) -> tuple[int, int, int | None, int, int, int]:
    """Count, medians of duration and transfer, and sums of duration, exposed time and wait."""
    steady = rows[~calls.warm_up[rows]]
    chosen = np.zeros(len(calls), dtype=np.bool_)
    chosen[steady if len(steady) else rows] = True
    _, transfers = calls.longest_transfers(chosen)
    return (
        len(rows),
        distribution(calls.duration_ns[chosen]).p50,
        distribution(transfers).p50 if len(transfers) else None,
        int(calls.duration_ns[rows].sum()),
        int(calls.exposed_ns[rows].sum()),
        int(calls.wait_ns[rows].sum()),
    )


def axes(calls: Calls) -> tuple[AxisCalls, ...]:
    """One row an axis, those with the most exposed time first."""
    codes: dict[str | None, list[int]] = defaultdict(list)
    for code, signature in enumerate(calls.signatures):
        codes[signature.axis].append(code)
    rows = [_axis(calls, axis, of_axis) for axis, of_axis in codes.items()]
    return tuple(sorted((row for row in rows if row.count), key=lambda row: (-row.exposed_ns, -row.sum_ns)))


def _axis(calls: Calls, axis: str | None, codes: list[int]) -> AxisCalls:
    rows = calls.of_kinds(codes)
    signatures = [calls.signatures[code] for code in codes]
    return AxisCalls(
        axis=axis,
        group_sizes=tuple(sorted({one.group_size for one in signatures if one.group_size is not None})),
        groups=len({one.group for one in signatures if one.group is not None}),
        count=int(rows.sum()),
        sum_ns=int(calls.duration_ns[rows].sum()),
        exposed_ns=int(calls.exposed_ns[rows].sum()),
        wait_ns=int(calls.wait_ns[rows].sum()),
    )
