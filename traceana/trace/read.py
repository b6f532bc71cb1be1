"""From a trace file to a rank's columns."""

from pathlib import Path

import numpy as np

from traceana.trace.columns import Activities, RankTrace, StreamWaits
from traceana.trace.file import TraceFile
from traceana.trace.reader import Reader
from traceana.trace.rows import times
from traceana.trace.table import scanned


def read_rank(path: Path) -> RankTrace:
    """Read one file. Raises NotATraceError or TraceanaError where nothing can be read of it."""
    file = TraceFile(path, scan=scanned)
    reader = Reader()
    for stretch in file.stretches():
        reader.stacks = file.header.stacks
        reader.add(stretch)
    file.damage.skipped_events += reader.skipped
    return _finish(reader, file)


def _finish(reader: Reader, file: TraceFile) -> RankTrace:
    base_ns = file.header.base_time_ns or 0
    start, duration, name, category, device, stream, correlation, call, external, shape = reader.gpu.take()
    start_ns = times(start, base_ns)
    held, held_from, awaited, recorded = reader.stream_waits.take()
    return RankTrace(
        path=file.path,
        header=file.header,
        damage=file.damage,
        events=reader.events,
        names=tuple(reader.names),
        activities=Activities(
            start_ns=start_ns,
            end_ns=start_ns + duration,
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
        host_calls=(reader.host_calls if reader.host_calls else reader.bare_calls).finish(base_ns),
        host_collectives=reader.host_collectives.finish(base_ns),
        operators=reader.operators.finish(base_ns),
        frames=reader.frames.finish(base_ns),
        host_names=tuple(reader.host_names),
        c10d_spans=reader.c10d_spans.finish(base_ns),
        device_c10d_spans=reader.device_c10d_spans.finish(base_ns),
        graph_launches=np.unique(np.concatenate(reader.graph_launches.take())),
        foreign=tuple(sorted(reader.foreign)),
        calls=tuple(reader.calls),
        call_external=np.array(reader.call_external, dtype=np.int64),
        window_end_ns=None if reader.window_end is None else reader.window_end + base_ns,
    )
