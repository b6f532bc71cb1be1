"""Puts what was recorded while a CUDA graph was captured onto the kernels of its replays.

A replay's kernels share the correlation of one cudaGraphLaunch. Which graph it launched is not in the trace, so a graph
is taken for the launched one only when its operations are exactly the replay's, and all graphs like it agree.
"""

import collections
from typing import Any

from traceana.kernels import nccl_name, operation_of_call, operation_of_kernel
from traceana_capture.agent.choices import KERNEL
from traceana_capture.launcher import modules
from traceana_capture.launcher.backends import NCCL, NCCL_CALLERS, carrier

Event = dict[str, Any]
Record = dict[str, Any]


def annotate_replays(events: list[Event], graphs: list[list[Record]]) -> None:
    """Give each replayed kernel its call's record, in order within each operation; unclear replays stay as they are."""
    known: dict[tuple[tuple[str, int], ...], list[dict[str, list[Record]]]] = {}
    for records in graphs:
        grouped = _by_operation([(_operation_of_call(record), record) for record in records])
        known.setdefault(_shape(grouped), []).append(grouped)
    for kernels in _replays(events):
        grouped = _by_operation([(_operation(k), k) for k in sorted(kernels, key=lambda k: float(k["ts"]))])
        common = _common(known.get(_shape(grouped), []))
        if common is not None:
            _copy(common, grouped)


def _common(alike: list[dict[str, list[Record]]]) -> dict[str, list[Record]] | None:
    """What graphs of the same operations all say; None where they differ in more than the modules that issued them."""
    if not alike or all(graph == alike[0] for graph in alike):
        return alike[0] if alike else None
    bare = [{name: list(map(_without_module, records)) for name, records in graph.items()} for graph in alike]
    return bare[0] if all(graph == bare[0] for graph in bare) else None


def _without_module(record: Record) -> Record:
    return {key: value for key, value in record.items() if key not in modules.KEYS}


def _copy(graph: dict[str, list[Record]], replay: dict[str, list[Event]]) -> None:
    for operation, records in graph.items():
        for record, kernel in zip(records, replay[operation], strict=True):
            kernel["args"].update(record)


def _by_operation(pairs: list[tuple[str, dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    grouped: dict[str, list[dict[str, Any]]] = {}
    for operation, item in pairs:
        grouped.setdefault(operation, []).append(item)
    return grouped


def _shape(grouped: dict[str, list[dict[str, Any]]]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted((operation, len(items)) for operation, items in grouped.items()))


def _operation_of_call(record: Record) -> str:
    backend = str(record["traceana backend"])
    word = str(record.get(KERNEL) or record["Collective name"])
    return nccl_name(operation_of_call(word)) if backend in NCCL_CALLERS else backend


def _operation(kernel: Event) -> str:
    carried = str(carrier(kernel["name"]))
    return nccl_name(operation_of_kernel(kernel["name"])) if carried == NCCL else carried


def _replays(events: list[Event]) -> list[list[Event]]:
    """The collectives' kernels of each cudaGraphLaunch; of CUDA IPC those that wait, as one an exchange."""
    launches = {e["args"].get("correlation") for e in events if str(e.get("name")).startswith("cudaGraphLaunch")}
    replays: dict[int, list[Event]] = collections.defaultdict(list)
    for event in events:
        if event.get("cat") == "kernel" and carrier(event["name"]) and "bump_signal" not in event["name"]:
            correlation = event["args"].get("correlation")
            if correlation in launches:
                replays[correlation].append(event)
    return list(replays.values())
