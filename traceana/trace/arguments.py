"""What is read of an event's arguments.

Keys of `args` are those of Kineto's `output_json.cpp` and of c10d's `ParamCommsUtils`; those that begin with "traceana"
are written by `traceana capture` beside them.
"""

from collections.abc import Sequence
from math import prod
from typing import Annotated

import msgspec
from traceana_capture.reading import DECODE_ERRORS

from traceana.trace.lenient import decode_struct

# A value that no run can have makes its event a damaged one, instead of overflowing a column later.
_Integer = Annotated[int, msgspec.Meta(ge=-(1 << 62), le=1 << 62)]
_Correlation = Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
_Count = Annotated[int, msgspec.Meta(ge=-(1 << 48), le=1 << 48)]


class Arguments(msgspec.Struct, gc=False):
    """The arguments of one event; each is what it is by default where the event has none."""

    device: _Integer = 0
    stream: _Integer | str = 0
    correlation: _Correlation = 0
    external: _Correlation = msgspec.field(name="External id", default=-1)
    collective: str | None = msgspec.field(name="Collective name", default=None)
    in_nelems: _Count | None = msgspec.field(name="In msg nelems", default=None)
    out_nelems: _Count | None = msgspec.field(name="Out msg nelems", default=None)
    group_size: _Count | None = msgspec.field(name="Group size", default=None)
    dtype: str | None = None
    group_name: str | None = msgspec.field(name="Process Group Name", default=None)
    group_ranks: str | list[int] | None = msgspec.field(name="Process Group Ranks", default=None)
    seq: _Count | None = msgspec.field(name="Seq", default=None)
    source: _Count | None = msgspec.field(name="Src Rank", default=None)
    destination: _Count | None = msgspec.field(name="Dst Rank", default=None)
    in_split: str | list[int] | None = msgspec.field(name="In split size", default=None)
    out_split: str | list[int] | None = msgspec.field(name="Out split size", default=None)
    backend: str | None = msgspec.field(name="traceana backend", default=None)
    library: str | None = msgspec.field(name="traceana library", default=None)
    site: str | None = msgspec.field(name="traceana site", default=None)
    module: str | None = msgspec.field(name="traceana module", default=None)
    module_class: str | None = msgspec.field(name="traceana module class", default=None)
    layer: str | None = msgspec.field(name="traceana layer", default=None)
    group_description: str | None = msgspec.field(name="Process Group Description", default=None)
    sequence: _Count = msgspec.field(name="Sequence number", default=-1)
    forward_thread: _Count = msgspec.field(name="Fwd thread id", default=0)
    wait_on_stream: _Integer = -1
    recorded_by: _Correlation = msgspec.field(name="wait_on_cuda_event_record_corr_id", default=-1)
    grid: msgspec.Raw = msgspec.Raw(b"")
    block: msgspec.Raw = msgspec.Raw(b"")
    input_dims: msgspec.Raw = msgspec.field(name="Input Dims", default=msgspec.Raw(b"[]"))
    input_types: msgspec.Raw = msgspec.field(name="Input type", default=msgspec.Raw(b"[]"))


_decoder = msgspec.json.Decoder(Arguments)
_list_decoder: "msgspec.json.Decoder[list[Arguments | None]]" = msgspec.json.Decoder(list[Arguments])


def decode_arguments(data: msgspec.Raw) -> Arguments:
    """The arguments of an event; one of an odd type costs no other. Raises msgspec.MsgspecError where it is no JSON."""
    try:
        return _decoder.decode(data)
    except UnicodeDecodeError:
        return decode_arguments(msgspec.Raw(bytes(data).decode("utf-8", "replace").encode()))
    except msgspec.ValidationError:
        return decode_struct(data, _decoder)


def decode_all_arguments(data: Sequence[msgspec.Raw]) -> list[Arguments | None]:
    """The arguments of many events; None where they are no JSON. Decoded at once, which is quicker, if none is odd."""
    try:
        decoded = _list_decoder.decode(b"[" + b",".join(data) + b"]")
    except DECODE_ERRORS:
        return [_decoded(one) for one in data]
    return decoded if len(decoded) == len(data) else [_decoded(one) for one in data]


def _decoded(data: msgspec.Raw) -> Arguments | None:
    try:
        return decode_arguments(data)
    except DECODE_ERRORS:
        return None


def first_input(args: Arguments) -> tuple[int | None, str | None]:
    """Elements and dtype of the first input of a gloo annotation, which record_shapes writes."""
    try:
        dims = msgspec.json.decode(args.input_dims, type=list[list[int]])
        types = msgspec.json.decode(args.input_types, type=list[str])
    except DECODE_ERRORS:
        return None, None
    return (prod(dims[0]), types[0]) if dims and types else (None, None)
