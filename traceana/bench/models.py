"""Message sizes of diffusion models: what one layer sends at a resolution, a number of frames and a degree.

Each model's numbers are from its published configuration (`config.json` of the transformer), its name given beside.
Latents are 8 times smaller than the image in each direction, and 4 times in time where frames are compressed; a patch
is 2 × 2 latents.
"""

import msgspec

from traceana.bench.plan import Message
from traceana.errors import TraceanaError
from traceana.report.bench import DTYPES

_SPATIAL = 8
_TEMPORAL = 4
_PATCH = 2


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """Attention heads, their size, the text tokens that attend with the image, and where that stands."""

    heads: int
    head_size: int
    text_tokens: int
    video: bool
    tensor_parallel: bool
    source: str
    gathers: bool = False
    """Whether ranks gather what the last layer makes, once a forward pass."""


MODELS = {
    "wan-1.3b": Model(
        heads=12,
        head_size=128,
        text_tokens=0,
        video=True,
        tensor_parallel=False,
        gathers=True,
        source="Wan-AI/Wan2.1-T2V-1.3B",
    ),
    "wan-14b": Model(
        heads=40,
        head_size=128,
        text_tokens=0,
        video=True,
        tensor_parallel=False,
        gathers=True,
        source="Wan-AI/Wan2.1-T2V-14B",
    ),
    "hunyuan": Model(
        heads=24, head_size=128, text_tokens=256, video=True, tensor_parallel=False, source="tencent/HunyuanVideo"
    ),
    "flux": Model(
        heads=24,
        head_size=128,
        text_tokens=512,
        video=False,
        tensor_parallel=True,
        source="black-forest-labs/FLUX.1-dev",
    ),
    "qwen-image": Model(
        heads=24, head_size=128, text_tokens=0, video=False, tensor_parallel=True, source="Qwen/Qwen-Image"
    ),
}


def sequence_length(model: Model, width: int, height: int, frames: int) -> int:
    """Image tokens of one request."""
    across = _SPATIAL * _PATCH
    latents = (frames - 1) // _TEMPORAL + 1 if model.video else 1
    return latents * (height // across) * (width // across)


def messages(name: str, resolution: str, frames: int, ranks: int, dtype: str) -> tuple[Message, ...]:
    """What a layer sends on each rank: Ulysses' exchanges before and after attention, or a tensor-parallel sum.

    Raises TraceanaError where the model or the resolution is not known, or heads do not divide among the ranks.
    """
    model = _model(name)
    if not model.tensor_parallel and model.heads % ranks:
        raise TraceanaError(f"--model {name}: its {model.heads} heads do not divide among {ranks} ranks")
    return messages_of(model, sequence_length(model, *_resolution(resolution), frames), ranks, DTYPES[dtype])


def messages_of(model: Model, tokens: int, ranks: int, element_bytes: int) -> tuple[Message, ...]:
    """The same of a sequence of `tokens`.

    sglang 0.5.23 packs query, key and value into one exchange on GPUs and sends them one by one on CPUs; Wan's ranks
    also gather what the last layer makes.
    """
    hidden = model.heads * model.head_size
    if model.tensor_parallel:
        return (Message(op="all_reduce", message_bytes=(tokens + model.text_tokens) * hidden * element_bytes),)
    # Sequences are padded to the number of ranks.
    local = -(-tokens // ranks)
    shape = (local, model.heads, model.head_size)
    whole = local * hidden * element_bytes
    exchanges = [
        Message(op=op, message_bytes=count * whole, shape=(count, *shape))
        for op in ("all_to_all_4d", "all_to_all_4d_copies")
        for count in (3, 1)
    ]
    alone = [Message(op="all_to_all", message_bytes=count * whole) for count in (3, 1)]
    gathered = [Message(op="all_gather", message_bytes=ranks * whole)] if model.gathers else []
    return (*exchanges, *alone, *gathered)


def described(name: str, resolution: str, frames: int, ranks: int) -> str:
    """The request in words: tokens, heads, their size, and whose configuration says so. Raises TraceanaError."""
    model = _model(name)
    tokens = sequence_length(model, *_resolution(resolution), frames)
    return (
        f"{name} {resolution}{f', {frames} frames' if model.video else ''}: {tokens} tokens, {model.heads} heads of "
        f"{model.head_size} over {ranks} ranks, by config.json of {model.source}"
    )


def _model(name: str) -> Model:
    if name not in MODELS:
        raise TraceanaError(f"--model {name}: there is no such model; there are {', '.join(MODELS)}")
    return MODELS[name]


def _resolution(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    if not (width.isascii() and width.isdigit() and height.isascii() and height.isdigit()):
        raise TraceanaError(f"--resolution {text}: write WIDTHxHEIGHT, for example 832x480")
    return int(width), int(height)
