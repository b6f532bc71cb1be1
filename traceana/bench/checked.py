"""A result before any time: one call, alone or replayed from a CUDA graph, against what the ranks' inputs must give."""

from traceana.bench.backends import Backend, Call, Unavailable
from traceana.bench.buffers import Buffers, fill, is_right
from traceana.bench.plan import Message
from traceana.bench.timing import Timer
from traceana.bench.world import World
from traceana.errors import TraceanaError


def check(backend: Backend, message: Message, world: World, buffers: Buffers, call: Call, *, graph: bool) -> str | None:
    """Why this call cannot be made, None after a right result. Raises TraceanaError for a wrong one, on all ranks."""
    try:
        timer = Timer(world, [call], 1, graph=graph)
        fill(buffers, world)
        call.load()
        timer.once()
    except Unavailable as reason:
        return str(reason)
    except RuntimeError as error:
        if not graph:
            raise
        return f"it cannot be captured in a CUDA graph: {str(error).splitlines()[0]}"
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
