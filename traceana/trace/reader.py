"""Sorts a trace's events into columns: which events are kept, and where they go."""

import re
from array import array
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from traceana_capture.reading import DECODE_ERRORS

from traceana.trace.arguments import Arguments, decode_all_arguments, decode_arguments
from traceana.trace.batches import Batch, batches
from traceana.trace.call_metadata import call_metadata
from traceana.trace.columns import GPU_CATEGORIES, Bools, CallMetadata
from traceana.trace.enclosed import Enclosed
from traceana.trace.events import Chunk, Event
from traceana.trace.lenient import number
from traceana.trace.rows import Rows, SpanRows

# How c10d names its own annotations: they repeat a collective, so they are no user spans.
_C10D_PREFIXES = ("nccl:", "gloo:", "ucc:", "mpi:", "xccl:", "hccl:")
_HOST_COMMUNICATION = ("gloo:", "mpi:", "ucc:")
# How capture names a call that does not go through c10d; its kernels carry what is known of it.
_DIRECT_PREFIX = "pynccl:"
_MODULE_PREFIX = "nn.Module: "
_AUTOGRAD_PREFIX = "autograd::engine::evaluate_function: "
# Device events of accelerators whose form is not known here, by Kineto's and the vendors' categories.
_FOREIGN = re.compile(r"(?:hpu|mtia|npu|xpu|privateuse1|glow|ascend|xla|tpu)(?!_(?:runtime|driver)$)", re.IGNORECASE)
_WAITING_CALL = re.compile(r"(?:Device|Ctx|(Stream)|(Event))Synchronize|(StreamWaitEvent)")
_LAUNCHES, _OTHER = -1, -2
# Categories before PyTorch 1.11 (Kineto's output_json.cpp of 2021), and what they are now.
_FORMERLY = {
    "Kernel": "kernel",
    "Memcpy": "gpu_memcpy",
    "Memset": "gpu_memset",
    "Runtime": "cuda_runtime",
    "Operator": "cpu_op",
}


class Reader:
    """The columns so far; one method a category of events."""

    def __init__(self) -> None:
        self.names: dict[str, int] = {}
        self.host_names: dict[str, int] = {}
        self.threads: dict[object, int] = {}
        self.shapes: dict[tuple[bytes, bytes], int] = {}
        self.runtime_calls: dict[str, int] = {}
        self.calls: list[CallMetadata] = []
        self.told: dict[CallMetadata, CallMetadata] = {}
        self.call_external = array("q")
        self.graph_launches = Rows(1)
        self.foreign: set[str] = set()
        self.gpu = Rows(10)
        self.launches, self.spans, self.host_calls, self.waits = SpanRows(), SpanRows(), SpanRows(), SpanRows()
        self.host_collectives, self.operators = SpanRows(), SpanRows()
        self.modules, self.frames = SpanRows(), SpanRows()
        self.enclosed = Enclosed()
        # Before PyTorch 2.1 only c10d's annotations name the operation, and nothing tells its size.
        self.bare_calls = SpanRows()
        self.c10d_spans, self.device_c10d_spans = SpanRows(), SpanRows()
        # What ties the backward pass to modules, which only traces with stacks have.
        self.stacks = False
        self.forward, self.backward = SpanRows(), SpanRows()
        self.stream_waits = Rows(4)
        self.skipped = 0
        self.window_end: int | None = None
        self.handlers: dict[str, Callable[[Batch], None]] = {
            **{name: partial(self._activities, index) for index, name in enumerate(GPU_CATEGORIES)},
            "cuda_runtime": self._runtime,
            "cuda_driver": self._runtime,
            "xpu_runtime": self._runtime,
            "xpu_driver": self._runtime,
            "cuda_sync": partial(self._each, self._synchronization),
            "gpu_user_annotation": partial(self._each, self._device_annotation),
            "cpu_op": self._operator,
            "user_annotation": partial(self._each, self._annotation),
            "python_function": self._python_functions,
            "Trace": partial(self._each, self._window),
        }
        self.handlers |= {former: self.handlers[now] for former, now in _FORMERLY.items()}

    def add(self, chunk: Chunk) -> None:
        """File complete events under their categories; others are passed over."""
        for category, batch in batches(chunk).items():
            handler = self.handlers.get(category)
            if handler is not None:
                self.skipped += batch.left_out
                self._file(handler, batch)
            elif _FOREIGN.match(category):
                self.foreign.add(category)

    def _file(self, handler: Callable[[Batch], None], batch: Batch) -> None:
        """Events that cannot be filed together are filed one by one, and a damaged one is left out."""
        try:
            handler(batch)
        except DECODE_ERRORS:
            if len(batch.events) == 1:
                self.skipped += 1
            else:
                for place in range(len(batch.events)):
                    self._file(handler, batch.of([place]))

    def _each(self, one: Callable[[Event, int, int], None], batch: Batch) -> None:
        """One event after the other, where there are few; a damaged one is left out."""
        for event, start, duration in zip(batch.events, batch.start.tolist(), batch.duration.tolist(), strict=True):
            try:
                one(event, start, duration)
            except DECODE_ERRORS:
                self.skipped += 1

    def _activities(self, category: int, batch: Batch) -> None:
        batch, arguments = self._with_arguments(batch)
        self.gpu.extend(
            batch.start,
            np.maximum(batch.duration, 0),
            _numbers(self.names, [event.name for event in batch.events]),
            [category] * len(arguments),
            [args.device for args in arguments],
            [self._stream(args.stream) for args in arguments],
            [args.correlation for args in arguments],
            [self._call(args) if args.collective else -1 for args in arguments],
            [args.external for args in arguments],
            [self._shape(args) for args in arguments],
        )

    def _stream(self, stream: int | str) -> int:
        found = number(stream)
        return self._name(str(stream)) if found is None else found

    def _shape(self, args: Arguments) -> int:
        told = (bytes(args.grid), bytes(args.block))
        return self.shapes.setdefault(told, len(self.shapes)) if all(told) else -1

    def _with_arguments(self, batch: Batch) -> tuple[Batch, list[Arguments]]:
        """The arguments of all events, but for those whose arguments are damaged."""
        decoded = decode_all_arguments([event.args for event in batch.events])
        good = [place for place, args in enumerate(decoded) if args is not None]
        self.skipped += len(decoded) - len(good)
        return batch.of(good), [args for args in decoded if args is not None]

    def _runtime(self, batch: Batch) -> None:
        # Of the runtime's calls only those that put work on a device matter: launches, graph launches, copies, sets.
        names = [event.name for event in batch.events]
        kind_of = {name: self._runtime_call(name) for name in dict.fromkeys(names)}
        kinds = np.array([*map(kind_of.__getitem__, names)], dtype=np.int64)
        launches, arguments = self._with_arguments(batch.of(np.flatnonzero(kinds == _LAUNCHES).tolist()))
        correlations = [args.correlation for args in arguments]
        self.launches.extend(launches.start, launches.duration, self._threads(launches), correlations)
        for event, correlation in zip(launches.events, correlations, strict=True):
            if "GraphLaunch" in event.name:
                self.graph_launches.add(correlation)
        waits = np.flatnonzero(kinds >= 0)
        waiting = batch.of(waits.tolist())
        self.waits.extend(waiting.start, waiting.duration, self._threads(waiting), kinds[waits])

    def _runtime_call(self, name: str) -> int:
        """What a waiting call waits for, as WAITS says it, _LAUNCHES or _OTHER; few names make up all calls."""
        kind = self.runtime_calls.get(name)
        if kind is None:
            found = _WAITING_CALL.search(name)
            kind = _LAUNCHES if "aunch" in name or "Mem" in name else (found.lastindex or 0) if found else _OTHER
            self.runtime_calls[name] = kind
        return kind

    def _synchronization(self, event: Event, start: int, duration: int) -> None:
        args = decode_arguments(event.args)
        # Streams and launches are -1 where Kineto does not know them.
        if event.name == "Stream Wait Event" and isinstance(args.stream, int) and args.recorded_by >= 0:
            self.stream_waits.add(args.stream, args.correlation, args.wait_on_stream, args.recorded_by)

    def _operator(self, batch: Batch) -> None:
        self._on_host(self.operators, batch.of(np.flatnonzero(~self._enclosed(batch)).tolist()))
        if self.stacks:
            self._sequences(batch)
        calls = [place for place, event in enumerate(batch.events) if event.name == "record_param_comms"]
        self._each(self._recorded_call, batch.of(calls))

    def _enclosed(self, batch: Batch) -> Bools:
        names = [event.name for event in batch.events]
        is_aten = {name: name.startswith("aten::") for name in dict.fromkeys(names)}
        aten = np.array([*map(is_aten.__getitem__, names)], dtype=np.bool_)
        threads = np.array(self._threads(batch), dtype=np.int64)
        return self.enclosed.found(batch.start, batch.start + batch.duration, threads, aten)

    def _recorded_call(self, event: Event, start: int, duration: int) -> None:
        args = decode_arguments(event.args)
        rows = self.host_calls if args.collective else self.bare_calls
        rows.add(start, duration, self._thread(event), self._call(args))

    def _sequences(self, batch: Batch) -> None:
        batch, arguments = self._with_arguments(batch)
        rows = zip(batch.events, arguments, batch.start.tolist(), batch.duration.tolist(), strict=True)
        for event, args, start, duration in rows:
            if args.sequence >= 0 and event.name.startswith(_AUTOGRAD_PREFIX):
                self.backward.add(start, duration, self._thread(event), args.sequence)
            elif args.sequence >= 0 and args.forward_thread == 0:
                self.forward.add(start, duration, self._thread(event), args.sequence)

    def _annotation(self, event: Event, start: int, duration: int) -> None:
        args = decode_arguments(event.args)
        thread = self._thread(event)
        if args.collective or event.name.startswith(_HOST_COMMUNICATION):
            self.host_collectives.add(start, duration, thread, self._call(args, event.name.partition(":")[2]))
        elif event.name.startswith(_C10D_PREFIXES):
            call = self._call(args, event.name.partition(":")[2])
            self.bare_calls.add(start, duration, thread, call)
            self.c10d_spans.add(start, duration, thread, call)
        elif not event.name.startswith(_DIRECT_PREFIX):
            self.spans.add(start, duration, thread, self._name(event.name))

    def _device_annotation(self, event: Event, start: int, duration: int) -> None:
        if event.name.startswith(_C10D_PREFIXES) and isinstance(event.tid, int):
            self.device_c10d_spans.add(start, duration, event.tid, 0)

    def _python_functions(self, batch: Batch) -> None:
        self._on_host(self.frames, batch)
        modules = batch.of([at for at, event in enumerate(batch.events) if event.name.startswith(_MODULE_PREFIX)])
        names = [self._name(event.name.removeprefix(_MODULE_PREFIX)) for event in modules.events]
        self.modules.extend(modules.start, modules.duration, self._threads(modules), names)

    def _window(self, event: Event, start: int, duration: int) -> None:
        # Kineto's own "PyTorch Profiler (0)", from the start to the stop of the recording.
        self.window_end = max(self.window_end or 0, start + duration)

    def _call(self, args: Arguments, name: str = "") -> int:
        # Kernels say what the host's call says, and calls without numbers are alike.
        call = call_metadata(args, name)
        self.calls.append(self.told.setdefault(call, call))
        self.call_external.append(args.external)
        return len(self.calls) - 1

    def _name(self, name: str) -> int:
        return self.names.setdefault(name, len(self.names))

    def _on_host(self, rows: SpanRows, batch: Batch) -> None:
        # Names of what runs on a device are apart, since each is classified.
        keys = _numbers(self.host_names, [event.name for event in batch.events])
        rows.extend(batch.start, batch.duration, self._threads(batch), keys)

    def _threads(self, batch: Batch) -> list[int]:
        return _numbers(self.threads, [event.tid for event in batch.events])

    def _thread(self, event: Event) -> int:
        return self.threads.setdefault(event.tid, len(self.threads))


def _numbers(known: dict[Any, int], values: list[Any]) -> list[int]:
    """The number of each value, new ones counted on. Few values make up all, so that each costs a look-up, no call."""
    for value in dict.fromkeys(values):
        known.setdefault(value, len(known))
    return [*map(known.__getitem__, values)]
