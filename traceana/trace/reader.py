"""Sorts a trace's events into columns: which events are kept, and where they go."""

import re
from array import array
from collections.abc import Callable
from functools import partial

import numpy as np
from traceana_capture.reading import DECODE_ERRORS

from traceana.trace.arguments import Arguments, decode_arguments
from traceana.trace.batches import Batch, batches
from traceana.trace.call_metadata import call_metadata
from traceana.trace.columns import GPU_CATEGORIES, Bools, CallMetadata
from traceana.trace.enclosed import Enclosed
from traceana.trace.events import Chunk, Event
from traceana.trace.lenient import number
from traceana.trace.rows import Rows, SpanRows
from traceana.trace.table import Table, Thread, tabulated
from traceana.trace.values import Values, decoded

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
        self.threads: dict[Thread, int] = {}
        self.shapes: dict[tuple[bytes, bytes], int] = {}
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
        self.events = self.skipped = 0
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

    def add(self, found: Chunk | Table) -> None:
        """File complete events under their categories; others are passed over."""
        table = tabulated(found) if isinstance(found, Chunk) else found
        self.events += table.events
        for category, batch in batches(table).items():
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
            if len(batch) == 1:
                self.skipped += 1
            else:
                for place in range(len(batch)):
                    self._file(handler, batch.of(np.array([place])))

    def _each(self, one: Callable[[Event, int, int], None], batch: Batch) -> None:
        """One event after the other, where there are few; a damaged one is left out."""
        for event, start, duration in batch.each():
            try:
                one(event, start, duration)
            except DECODE_ERRORS:
                self.skipped += 1

    def _activities(self, category: int, batch: Batch) -> None:
        values = self._values(batch)
        batch = values.batch
        calls = np.full(len(batch), -1, dtype=np.int64)
        names = batch.names(self.names)
        streams = values.numbers("stream", self._stream)
        for place, args in values.whole.items():
            if args.collective:
                calls[place] = self._call(args)
        self.gpu.extend(
            batch.start,
            np.maximum(batch.duration, 0),
            names,
            np.full(len(batch), category),
            values.numbers("device"),
            streams,
            values.numbers("correlation"),
            calls,
            values.numbers("external"),
            values.shapes(self.shapes),
        )

    def _stream(self, stream: int | str) -> int:
        found = number(stream)
        return self._name(str(stream)) if found is None else found

    def _values(self, batch: Batch) -> Values:
        """The arguments of all events, but for those whose arguments are damaged."""
        values = decoded(batch)
        self.skipped += len(batch) - len(values.batch)
        return values

    def _runtime(self, batch: Batch) -> None:
        # Of the runtime's calls only those that put work on a device matter: launches, graph launches, copies, sets.
        kinds = batch.by_name(self._runtime_call)
        values = self._values(batch.of(kinds == _LAUNCHES))
        launches, correlations = values.batch, values.numbers("correlation")
        self.launches.extend(launches.start, launches.duration, launches.threads(self.threads), correlations)
        self.graph_launches.extend(correlations[launches.by_name(lambda name: "GraphLaunch" in name) != 0])
        waiting = batch.of(kinds >= 0)
        self.waits.extend(waiting.start, waiting.duration, waiting.threads(self.threads), kinds[kinds >= 0])

    @staticmethod
    def _runtime_call(name: str) -> int:
        """What a waiting call waits for, as WAITS says it, _LAUNCHES or _OTHER."""
        found = _WAITING_CALL.search(name)
        return _LAUNCHES if "aunch" in name or "Mem" in name else (found.lastindex or 0) if found else _OTHER

    def _synchronization(self, event: Event, start: int, duration: int) -> None:
        args = decode_arguments(event.args)
        # Streams and launches are -1 where Kineto does not know them.
        if event.name == "Stream Wait Event" and isinstance(args.stream, int) and args.recorded_by >= 0:
            self.stream_waits.add(args.stream, args.correlation, args.wait_on_stream, args.recorded_by)

    def _operator(self, batch: Batch) -> None:
        self._on_host(self.operators, batch.of(~self._enclosed(batch)))
        if self.stacks:
            self._sequences(batch)
        self._each(self._recorded_call, batch.of(batch.by_name(lambda name: name == "record_param_comms") != 0))

    def _enclosed(self, batch: Batch) -> Bools:
        aten = batch.by_name(lambda name: name.startswith("aten::")) != 0
        return self.enclosed.found(batch.start, batch.start + batch.duration, batch.threads(self.threads), aten)

    def _recorded_call(self, event: Event, start: int, duration: int) -> None:
        args = decode_arguments(event.args)
        rows = self.host_calls if args.collective else self.bare_calls
        rows.add(start, duration, self._thread(event), self._call(args))

    def _sequences(self, batch: Batch) -> None:
        values = self._values(batch)
        batch, sequence = values.batch, values.numbers("sequence")
        autograd = batch.by_name(lambda name: name.startswith(_AUTOGRAD_PREFIX)) != 0
        forward = ~autograd & (values.numbers("forward_thread") == 0)
        for rows, wanted in ((self.backward, autograd), (self.forward, forward)):
            kept = (sequence >= 0) & wanted
            mine = batch.of(kept)
            rows.extend(mine.start, mine.duration, mine.threads(self.threads), sequence[kept])

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
        stream = None if isinstance(event.tid, str) else number(event.tid)
        if event.name.startswith(_C10D_PREFIXES) and stream is not None:
            self.device_c10d_spans.add(start, duration, stream, 0)

    def _python_functions(self, batch: Batch) -> None:
        self._on_host(self.frames, batch)
        modules = batch.of(batch.by_name(lambda name: name.startswith(_MODULE_PREFIX)) != 0)
        names = modules.names(self.names, lambda name: name.removeprefix(_MODULE_PREFIX))
        self.modules.extend(modules.start, modules.duration, modules.threads(self.threads), names)

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
        keys = batch.names(self.host_names)
        rows.extend(batch.start, batch.duration, batch.threads(self.threads), keys)

    def _thread(self, event: Event) -> int:
        return self.threads.setdefault(event.tid, len(self.threads))
