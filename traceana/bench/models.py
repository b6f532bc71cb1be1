"""Message sizes of diffusion models: what one layer sends at a resolution, a number of frames and a degree.

Each model's numbers are from its published configuration (`config.json` of the transformer), its name given beside.
Latents are 8 times smaller than the image in each direction, and 4 times in time where frames are compressed; a patch
is 2 × 2 latents.
"""

from dataclasses import dataclass

from traceana.bench.plan import Message
from traceana.errors import TraceanaError
from traceana.report.bench import DTYPES

_SPATIAL = 8
_TEMPORAL = 4
_PATCH = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """Attention heads, their size, the text tokens that attend with the image, and where that stands."""

    heads: int
    head_size: int
    text_tokens: int
    video: bool
    tensor_parallel: bool
    source: str


MODELS = {
    "wan-1.3b": Model(
        heads=12, head_size=128, text_tokens=0, video=True, tensor_parallel=False, source="Wan-AI/Wan2.1-T2V-1.3B"
    ),
    "wan-14b": Model(
        heads=40, head_size=128, text_tokens=0, video=True, tensor_parallel=False, source="Wan-AI/Wan2.1-T2V-14B"
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
    width, height = _resolution(resolution)
    tokens = sequence_length(model, width, height, frames)
    if model.tensor_parallel:
        hidden = model.heads * model.head_size
        return (Message(op="all_reduce", message_bytes=(tokens + model.text_tokens) * hidden * DTYPES[dtype]),)
    if model.heads % ranks:
        raise TraceanaError(f"--model {name}: its {model.heads} heads do not divide among {ranks} ranks")
    # Sequences are padded to the number of ranks.
    local = -(-tokens // ranks)
    shape = (1, local, model.heads, model.head_size)
    whole = local * model.heads * model.head_size * DTYPES[dtype]
    return (
        Message(op="all_to_all_4d", message_bytes=3 * whole, shape=(3, *shape[1:])),
        Message(op="all_to_all_4d", message_bytes=whole, shape=shape),
        Message(op="all_to_all_4d_copies", message_bytes=3 * whole, shape=(3, *shape[1:])),
        Message(op="all_to_all_4d_copies", message_bytes=whole, shape=shape),
        Message(op="all_to_all", message_bytes=3 * whole),
        Message(op="all_to_all", message_bytes=whole),
    )


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
