"""A result before any time: one call, alone or replayed from a CUDA graph, against what the ranks' inputs must give."""

from traceana.bench.backends import Backend, Call, Unavailable
from traceana.bench.backends.frameworks import first_line
from traceana.bench.buffers import Buffers, fill, is_right
from traceana.bench.plan import Message
from traceana.bench.timing import Timer
from traceana.bench.world import World
from traceana.errors import TraceanaError


def check(backend: Backend, message: Message, world: World, buffers: Buffers, call: Call, *, graph: bool) -> str | None:
    """Why this call cannot be made, None after a right result. Raises TraceanaError for a wrong one, on all ranks."""
    reason = _reason(world, buffers, call, graph=graph)
    # Whichever rank cannot, none may wait for it.
    if world.anywhere(reason is not None):
        return reason or "another rank cannot make it"
    call.unload()
    world.synchronize()
    if world.anywhere(not is_right(buffers, world)):
        called = f"{message.op} of {message.message_bytes} bytes{' in a CUDA graph' if graph else ''}"
        raise TraceanaError(
            f"{backend.name}: {called} gave a wrong result; its times would mean nothing, so the bench ends here"
        )
    buffers.source.zero_()
    buffers.target.zero_()
    call.load()
    return None


def _reason(world: World, buffers: Buffers, call: Call, *, graph: bool) -> str | None:
    """Make the call once, alone or in a graph; why that cannot be."""
    try:
        timer = Timer(world, [call], 1, graph=graph)
        fill(buffers, world)
        call.load()
        timer.once()
    except Unavailable as error:
        return str(error)
    except Exception as error:
        # Backends are others' code, whose captures fail with whatever they raise.
        if not graph:
            raise
        return f"it cannot be captured in a CUDA graph: {first_line(error)}"
    return None
