"""The window gives way: to a CUDA graph being captured, which a start or stop breaks, and to other profilers."""

import functools
from typing import Any

from traceana_capture.agent.call_notes import CALLS
from traceana_capture.agent.window import Window


def give_way(torch: Any, window: Window) -> None:
    """Close ours before the program's own profiler starts."""
    kind = torch.autograd.profiler.profile
    prepare = kind._prepare_trace

    @functools.wraps(prepare)
    def _prepare_trace(self: Any) -> Any:
        ours = window.profiler
        if ours is not None and getattr(ours, "profiler", None) is not self:
            window.close("the program started its own profiler")
        return prepare(self)

    kind._prepare_trace = _prepare_trace


def hold_during_graphs(torch: Any, window: Window) -> None:
    """Hold the window's start and end back while a CUDA graph is captured."""
    graph = torch.cuda.CUDAGraph
    begin, end = graph.capture_begin, graph.capture_end

    def over() -> None:
        CALLS.end_graph()
        window.release()

    @functools.wraps(begin)
    def capture_begin(self: Any, *args: Any, **kwargs: Any) -> Any:
        window.hold()
        CALLS.begin_graph()
        try:
            return begin(self, *args, **kwargs)
        except BaseException:
            over()
            raise

    @functools.wraps(end)
    def capture_end(self: Any) -> Any:
        try:
            return end(self)
        finally:
            over()

    graph.capture_begin, graph.capture_end = capture_begin, capture_end
