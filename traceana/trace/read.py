"""From a trace file to columns: which events are kept, and where they go."""

import re
from array import array
from collections.abc import Callable
from pathlib import Path

import numpy as np
from traceana_capture.reading import DECODE_ERRORS

from traceana.trace.arguments import Arguments, decode_arguments
from traceana.trace.call_metadata import call_metadata
from traceana.trace.columns import GPU_CATEGORIES, Activities, CallMetadata, HostRows, Ints, RankTrace, StreamWaits
from traceana.trace.events import Chunk, Event
from traceana.trace.file import TraceFile
from traceana.trace.lenient import number

_CATEGORY = {name: index for index, name in enumerate(GPU_CATEGORIES)}
# How c10d names its own annotations: they repeat a collective, so they are no user spans.
_C10D_PREFIXES = ("nccl:", "gloo:", "ucc:", "mpi:", "xccl:", "hccl:")
_HOST_COMMUNICATION = ("gloo:", "mpi:", "ucc:")
# How capture names a call that does not go through c10d; its kernels carry what is known of it.
_DIRECT_PREFIX = "pynccl:"
_MODULE_PREFIX = "nn.Module: "
_AUTOGRAD_PREFIX = "autograd::engine::evaluate_function: "
# Device events of accelerators whose form is not known here, by Kineto's and the vendors' categories.
_FOREIGN = re.compile(r"(?:hpu|mtia|npu|xpu|privateuse1|glow|ascend|xla|tpu)(?!_(?:runtime|driver)$)", re.IGNORECASE)
_LONGEST_US = float(1 << 43)
_WAITING_CALL = re.compile(r"(?:Device|Ctx|(Stream)|(Event))Synchronize|(StreamWaitEvent)")


class _Rows:
    """HostRows that grow: one flat array, since this runs once an event."""

    def __init__(self) -> None:
        self.flat = array("q")

    def add(self, start: int, duration: int, thread: int, key: int) -> None:
        self.flat.extend((start, start + duration, thread, key))

    def finish(self, base_ns: int) -> HostRows:
        start, end, thread, key = np.array(self.flat, dtype=np.int64).reshape(-1, 4).T
        return HostRows(start_ns=start + base_ns, end_ns=end + base_ns, thread=thread, key=key)


class _Reader:
    """Sorts events into columns; one method a category of events."""

    def __init__(self) -> None:
        self.names: dict[str, int] = {}
        self.host_names: dict[str, int] = {}
        self.threads: dict[object, int] = {}
        self.shapes: dict[tuple[bytes, bytes], int] = {}
        self.calls: list[CallMetadata] = []
        self.call_external = array("q")
        self.graph_launches = array("q")
        self.foreign: set[str] = set()
        self.gpu = array("q")
        self.launches, self.spans, self.host_calls, self.waits = _Rows(), _Rows(), _Rows(), _Rows()
        self.host_collectives, self.operators, self.modules, self.frames = _Rows(), _Rows(), _Rows(), _Rows()
        # Before PyTorch 2.1 only c10d's annotations name the operation, and nothing tells its size.
        self.bare_calls = _Rows()
        self.c10d_spans, self.device_c10d_spans = _Rows(), _Rows()
        # What ties the backward pass to modules, which only traces with stacks have.
        self.stacks = False
        self.forward, self.backward = _Rows(), _Rows()
        self.stream_waits = array("q")
        self.skipped = 0
        self.window_end: int | None = None
        self.handlers: dict[str, Callable[[Event, int, int], None]] = {
            **dict.fromkeys(GPU_CATEGORIES, self.activity),
            "cuda_runtime": self.launch,
            "cuda_driver": self.launch,
            "xpu_runtime": self.launch,
            "xpu_driver": self.launch,
            "cuda_sync": self.synchronization,
            "gpu_user_annotation": self.device_annotation,
            "cpu_op": self.operator,
            "user_annotation": self.annotation,
            "python_function": self.python_function,
            "Trace": self.window,
        }

    def add(self, chunk: Chunk) -> None:
        """File complete events under their categories; others are passed over."""
        handlers = self.handlers
        for event, start_ns in zip(chunk.events, chunk.starts_ns, strict=True):
            if event.ph != "X":
                continue
            handler, duration_us = handlers.get(event.cat), event.dur or 0.0
            if handler is None:
                if _FOREIGN.match(event.cat):
                    self.foreign.add(event.cat)
            elif event.ts is None or abs(duration_us) > _LONGEST_US:
                self.skipped += 1
            else:
                try:
                    handler(event, start_ns, round(duration_us * 1000))
                except DECODE_ERRORS:
                    self.skipped += 1

    def activity(self, event: Event, start: int, duration: int) -> None:
        args = decode_arguments(event.args)
        call = self._call(args) if args.collective else -1
        stream = number(args.stream)
        stream = self._name(str(args.stream)) if stream is None else stream
        end, name = start + max(duration, 0), self._name(event.name)
        place = (args.device, stream, args.correlation)
        told = (bytes(args.grid), bytes(args.block))
        shape = self.shapes.setdefault(told, len(self.shapes)) if all(told) else -1
        self.gpu.extend((start, end, name, _CATEGORY[event.cat], *place, call, args.external, shape))

    def launch(self, event: Event, start: int, duration: int) -> None:
        # Of the runtime's calls only those that put work on a device matter: launches, graph launches, copies, sets.
        if "aunch" in event.name or "Mem" in event.name:
            correlation = decode_arguments(event.args).correlation
            self.launches.add(start, duration, self._thread(event), correlation)
            if "GraphLaunch" in event.name:
                self.graph_launches.append(correlation)
        elif found := _WAITING_CALL.search(event.name):
            self.waits.add(start, duration, self._thread(event), found.lastindex or 0)

    def synchronization(self, event: Event, start: int, duration: int) -> None:
        args = decode_arguments(event.args)
        # Streams and launches are -1 where Kineto does not know them.
        if event.name == "Stream Wait Event" and isinstance(args.stream, int) and args.recorded_by >= 0:
            self.stream_waits.extend((args.stream, args.correlation, args.wait_on_stream, args.recorded_by))

    def operator(self, event: Event, start: int, duration: int) -> None:
        self._on_host(self.operators, event, start, duration)
        if self.stacks:
            self._sequence(event, start, duration)
        if event.name == "record_param_comms":
            args = decode_arguments(event.args)
            rows = self.host_calls if args.collective else self.bare_calls
            rows.add(start, duration, self._thread(event), self._call(args))

    def _sequence(self, event: Event, start: int, duration: int) -> None:
        args = decode_arguments(event.args)
        if args.sequence >= 0 and event.name.startswith(_AUTOGRAD_PREFIX):
            self.backward.add(start, duration, self._thread(event), args.sequence)
        elif args.sequence >= 0 and args.forward_thread == 0:
            self.forward.add(start, duration, self._thread(event), args.sequence)

    def annotation(self, event: Event, start: int, duration: int) -> None:
        args = decode_arguments(event.args)
        if args.collective or event.name.startswith(_HOST_COMMUNICATION):
            call = self._call(args, event.name.partition(":")[2])
            self.host_collectives.add(start, duration, self._thread(event), call)
        elif event.name.startswith(_C10D_PREFIXES):
            call = self._call(args, event.name.partition(":")[2])
            self.bare_calls.add(start, duration, self._thread(event), call)
            self.c10d_spans.add(start, duration, self._thread(event), call)
        elif not event.name.startswith(_DIRECT_PREFIX):
            self.spans.add(start, duration, self._thread(event), self._name(event.name))

    def device_annotation(self, event: Event, start: int, duration: int) -> None:
        if event.name.startswith(_C10D_PREFIXES) and isinstance(event.tid, int):
            self.device_c10d_spans.add(start, duration, event.tid, 0)

    def python_function(self, event: Event, start: int, duration: int) -> None:
        self._on_host(self.frames, event, start, duration)
        if event.name.startswith(_MODULE_PREFIX):
            self.modules.add(start, duration, self._thread(event), self._name(event.name.removeprefix(_MODULE_PREFIX)))

    def window(self, event: Event, start: int, duration: int) -> None:
        # Kineto's own "PyTorch Profiler (0)", from the start to the stop of the recording.
        self.window_end = max(self.window_end or 0, start + duration)

    def _call(self, args: Arguments, name: str = "") -> int:
        self.calls.append(call_metadata(args, name))
        self.call_external.append(args.external)
        return len(self.calls) - 1

    def _name(self, name: str) -> int:
        return self.names.setdefault(name, len(self.names))

    def _on_host(self, rows: _Rows, event: Event, start: int, duration: int) -> None:
        # Names of what runs on a device are apart, since each is classified. Inlined: most events come here.
        names, threads = self.host_names, self.threads
        key = names.setdefault(event.name, len(names))
        rows.flat.extend((start, start + duration, threads.setdefault(event.tid, len(threads)), key))

    def _thread(self, event: Event) -> int:
        return self.threads.setdefault(event.tid, len(self.threads))


def read_rank(path: Path) -> RankTrace:
    """Read one file. Raises NotATraceError or TraceanaError where nothing can be read of it."""
    file = TraceFile(path)
    reader = _Reader()
    events = 0
    for chunk in file.chunks():
        events += len(chunk.events)
        reader.stacks = file.header.stacks
        reader.add(chunk)
    file.damage.skipped_events += reader.skipped
    return _finish(reader, file, events)


def _finish(reader: _Reader, file: TraceFile, events: int) -> RankTrace:
    base_ns = file.header.base_time_ns or 0
    columns: Ints = np.array(reader.gpu, dtype=np.int64).reshape(-1, 10).T
    start, end, name, category, device, stream, correlation, call, external, shape = columns
    held, held_from, awaited, recorded = np.array(reader.stream_waits, dtype=np.int64).reshape(-1, 4).T
    return RankTrace(
        path=file.path,
        header=file.header,
        damage=file.damage,
        events=events,
        names=tuple(reader.names),
        activities=Activities(
            start_ns=start + base_ns,
            end_ns=end + base_ns,
            name=name,
            category=category,
            device=device,
            stream=stream,
            correlation=correlation,
            call=call,
            external=external,
            shape=shape,
        ),
        launches=reader.launches.finish(base_ns),
        waits=reader.waits.finish(base_ns),
        stream_waits=StreamWaits(stream=held, correlation=held_from, on_stream=awaited, recorded=recorded),
        spans=reader.spans.finish(base_ns),
        modules=reader.modules.finish(base_ns),
        forward=reader.forward.finish(base_ns),
        backward=reader.backward.finish(base_ns),
        host_calls=(reader.host_calls if reader.host_calls.flat else reader.bare_calls).finish(base_ns),
        host_collectives=reader.host_collectives.finish(base_ns),
        operators=reader.operators.finish(base_ns),
        frames=reader.frames.finish(base_ns),
        host_names=tuple(reader.host_names),
        c10d_spans=reader.c10d_spans.finish(base_ns),
        device_c10d_spans=reader.device_c10d_spans.finish(base_ns),
        graph_launches=np.unique(np.array(reader.graph_launches, dtype=np.int64)),
        foreign=tuple(sorted(reader.foreign)),
        calls=tuple(reader.calls),
        call_external=np.array(reader.call_external, dtype=np.int64),
        window_end_ns=None if reader.window_end is None else reader.window_end + base_ns,
    )
