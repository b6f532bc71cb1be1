"""Turns a worker's plain JSON into `rank<N>.json.gz`: annotated, compressed, checked, published by rename."""

import bisect
import dataclasses
import functools
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from zlib_ng import zlib_ng

from traceana import plug_ins
from traceana.kernels import operation_of_call, operation_of_kernel
from traceana_capture.launcher import flight, paired
from traceana_capture.launcher.backends import NCCL, PYNCCL, carrier, seen
from traceana_capture.launcher.flight import Group
from traceana_capture.launcher.graph_replays import annotate_replays
from traceana_capture.launcher.host_calls import Note, annotate_host
from traceana_capture.launcher.modules import Names, Places, module_keys
from traceana_capture.launcher.overlaps import separate
from traceana_capture.launcher.step_spans import add_steps

SPAN = "traceana::"
SIZES = frozenset({"In msg nelems", "Out msg nelems"})
GZIP = 31


def annotate(trace: dict[str, Any], records: Sequence[dict[str, Any] | None]) -> None:
    """Put each record's keys onto the kernels that its call launched, and name its span for it.

    The span of a call that did nothing, whose record is None, is taken out.
    """
    events = trace["traceEvents"]
    launches, nothing = _Launches(events), set()
    for span in [event for event in events if str(event.get("name")).startswith(SPAN)]:
        number = int(span["name"].removeprefix(SPAN))
        record = records[number] if number < len(records) else None
        if record is None:
            nothing.add(id(span))
            continue
        kernels = _of_call(launches.kernels(span, record["traceana backend"]), record)
        # How much of the call each of several kernels carried is not known.
        known = record if len(kernels) == 1 else {key: record[key] for key in record.keys() - SIZES}
        for event in kernels:
            event.setdefault("args", {}).update(known)
        span["name"] = f"{record['traceana backend']}:{record['Collective name']}"
    trace["traceEvents"] = [event for event in events if id(event) not in nothing]


def _of_call(kernels: list[dict[str, Any]], record: dict[str, Any]) -> list[dict[str, Any]]:
    """Among a call's kernels the one that is named after what the call does: vLLM's and others' have barriers too."""
    operation = operation_of_call(record["Collective name"])
    named = [kernel for kernel in kernels if operation_of_kernel(kernel["name"]) == operation]
    return named if len(named) == 1 else kernels


class _Launches:
    """CUDA launches by thread, and the collectives' kernels that share a launch's correlation id."""

    def __init__(self, events: list[dict[str, Any]]) -> None:
        self.by_thread: dict[Any, list[tuple[float, int]]] = {}
        self.by_correlation: dict[int, dict[str, Any]] = {}
        for event in events:
            correlation = event.get("args", {}).get("correlation")
            if event.get("cat") in ("cuda_runtime", "cuda_driver") and correlation is not None:
                self.by_thread.setdefault(event["tid"], []).append((event["ts"], correlation))
            elif event.get("cat") == "kernel" and carrier(event["name"]) is not None:
                self.by_correlation[correlation] = event
        for launches in self.by_thread.values():
            launches.sort()

    def kernels(self, span: dict[str, Any], backend: str) -> list[dict[str, Any]]:
        """The backend's kernels that the span's thread launched inside it; none while a CUDA graph is captured."""
        launches = self.by_thread.get(span["tid"], [])
        first = bisect.bisect_left(launches, (span["ts"], -1))
        last = bisect.bisect_left(launches, (span["ts"] + span.get("dur", 0), -1))
        wanted = NCCL if backend == PYNCCL else backend
        found = (self.by_correlation.get(correlation) for _, correlation in launches[first:last])
        kernels = [kernel for kernel in found if kernel is not None and carrier(kernel["name"]) == wanted]
        # CUDA IPC signals to its peers and then waits for them: one exchange, whose end the last kernel sees.
        return kernels[-1:] if backend == "CUDA IPC" else kernels


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A published trace: its size in bytes, what adapters did in its process, the backends that it shows.

    `pairs` counts the calls that `--paired` ran on both backends, and `ended` is why it went no further; `faults` tell
    what is wrong with other packages' adapters.
    """

    size: int
    adapters: tuple[str, ...]
    backends: tuple[str, ...]
    pairs: int
    ended: str = ""
    faults: tuple[str, ...] = ()


def publish(source: Path, target: Path) -> Published:
    """Write `target` from the worker's files; raises OSError or msgspec.DecodeError."""
    trace = msgspec.json.decode(source.read_bytes())
    facts = msgspec.json.decode(source.with_suffix(".calls").read_bytes())
    paired.write(facts["pairs"], source.with_suffix(".jsonl"), paired.beside(target))
    trace["traceEvents"] = paired.without_pairs(trace["traceEvents"])
    full = functools.partial(record, facts["keys"], facts["modules"])
    annotate(trace, [full(call) if call else None for call in facts["calls"]])
    notes = [
        Note(record=full(call[:5]), thread=call[5], begin_ns=call[6], returned_ns=call[7], begun=call[8])
        for call in facts["host"]
    ]
    entries = flight.read(source.with_suffix(".flight"), facts["since"], facts["until"])
    groups = {name: Group(keys=keys, numbered=numbered) for name, (keys, numbered) in facts["groups"].items()}
    describe_groups(trace, groups)
    places = Places(facts["places"], facts["modules"], int(trace.get("baseTimeNanoseconds", 0)))
    places.mark(trace["traceEvents"])
    annotate_host(trace, notes, entries, groups, places)
    add_steps(trace, facts["steps"])
    annotate_replays(trace["traceEvents"], [list(map(full, graph)) for graph in facts["graphs"]])
    # The profiler put the scratch folder's path here.
    trace["traceName"] = target.name
    separate(trace["traceEvents"])
    write(trace, source.with_suffix(".gz"), target)
    backends = tuple(sorted(seen(trace["traceEvents"])))
    return Published(
        size=target.stat().st_size,
        adapters=tuple(facts["adapters"]),
        backends=backends,
        pairs=len(facts["pairs"]),
        ended=facts["pairs_ended"],
        faults=(*facts["faults"], *plug_ins.kernels().faults),
    )


def describe_groups(trace: dict[str, Any], groups: dict[str, Group]) -> None:
    """Say in the trace's list of groups what they are for, where torch was not told."""
    for group in trace.get("distributedInfo", {}).get("pg_config", []):
        known = groups.get(str(group.get("pg_name")))
        if known is not None and group.get("pg_desc") in (None, "", "undefined", "default_pg"):
            group["pg_desc"] = known.keys["Process Group Description"]


def record(keys: list[dict[str, Any]], modules: list[Names], call: list[int | None]) -> dict[str, Any]:
    """The keys of a call: those it shares, the elements that it sent and received, its number, and its module."""
    at, sent, received, sequence, module = call
    full = keys[at or 0] | {"In msg nelems": sent, "Out msg nelems": received, "Seq": sequence}
    known = {key: value for key, value in full.items() if value is not None}
    return known | module_keys(modules, -1 if module is None else module)


def write(trace: dict[str, Any], partial: Path, target: Path) -> None:
    """Compress the trace into `partial`, read it back, and give it its final name; raises OSError."""
    text = msgspec.json.encode(trace)
    partial.write_bytes(zlib_ng.compress(text, 1, GZIP))
    if zlib_ng.decompress(partial.read_bytes(), GZIP) != text:
        raise OSError("what was read back from the disk is not what was written")
    _name(partial, target)


def _name(partial: Path, target: Path) -> None:
    """Rename, but over nothing: two launchers that share a folder may both have a rank 0."""
    try:
        os.link(partial, target)
    except FileExistsError:
        # Published by a launcher that was killed then, whose rescue this is.
        if target.read_bytes() != partial.read_bytes():
            raise OSError("another launcher left a trace of this rank there; give each its own --label") from None
    except OSError:
        # A file system without links.
        partial.replace(target)
        return
    partial.unlink()


def main(source: Path, target: Path) -> None:
    """Print what came out as JSON, for the launcher: a `Published`, or the text of why not."""
    try:
        outcome: Published | str = publish(source, target)
    except Exception as error:  # whatever it is, run.json names it
        outcome = str(error) if isinstance(error, OSError | msgspec.DecodeError) else repr(error)
    sys.stdout.buffer.write(msgspec.json.encode(outcome))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
