"""A rank's measured columns as bytes, and back: what a cache and the parts of a large run hold.

MessagePack by the types of RankResult itself, so that no file can bring code with it. An array is an extension of its
type, its shape and its bytes, so that a file that is mapped into memory is read only where its columns are looked at.
"""

import re
import struct
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from traceana_capture.reading import DECODE_ERRORS

from traceana.analyze.measure import RankResult
from traceana.errors import TraceanaError
from traceana.plain import plain as words
from traceana.saved.seal import sealed, unsealed
from traceana.trace.remote import path_of

_DTYPE = re.compile(r"[<>|=][biuf][1248]")
_ARRAY, _CODE = struct.Struct("<3sB"), 1


def encode(result: RankResult) -> bytes:
    """The result as bytes; `decode` gives it back."""
    return sealed(msgspec.msgpack.encode(result, enc_hook=plain))


def decode(content: bytes | memoryview) -> RankResult:
    """The result that `encode` was given, its arrays in `content` itself.

    Raises TraceanaError for anything else.
    """
    try:
        return _DECODER.decode(unsealed(content))
    except (*DECODE_ERRORS, TypeError, re.error) as error:
        raise TraceanaError(f"no measured rank of this version of traceana ({error})") from error


def plain(value: Any) -> Any:
    """What msgspec does not know by itself, as what it knows."""
    if isinstance(value, np.ndarray):
        head = _ARRAY.pack(value.dtype.str.encode(), value.ndim) + struct.pack(f"<{value.ndim}q", *value.shape)
        return msgspec.msgpack.Ext(_CODE, head + np.ascontiguousarray(value).tobytes())
    if isinstance(value, re.Pattern):
        return value.pattern
    if isinstance(value, Path):
        return words(value)
    if isinstance(value, np.generic):
        return value.item()
    raise NotImplementedError(f"{type(value)} is no part of a measured rank")


def whole(kind: Any, value: Any) -> Any:
    """The way back from `plain`. Raises ValueError for an array of anything but numbers."""
    origin = getattr(kind, "__origin__", kind)
    if origin is np.ndarray:
        if not isinstance(value, np.ndarray):
            raise ValueError("no array")
        return value
    if origin is re.Pattern:
        return re.compile(value)
    if origin is Path:
        return path_of(value)
    raise NotImplementedError(f"{kind} is no part of a measured rank")


def _array(code: int, data: memoryview) -> np.ndarray[Any, Any]:
    """The way back from an array's extension; it lies where it was read to."""
    try:
        name, dimensions = _ARRAY.unpack_from(data)
        shape = struct.unpack_from(f"<{dimensions}q", data, _ARRAY.size)
    except struct.error as error:
        raise ValueError(f"no array ({error})") from error
    if code != _CODE or not _DTYPE.fullmatch(name.decode("ascii")):
        raise ValueError(f"an array of {name!r}")
    return np.frombuffer(data[_ARRAY.size + 8 * dimensions :], np.dtype(name.decode())).reshape(shape)


# Made before threads come: the first two that decode a type at once crash msgspec 0.22.
_DECODER = msgspec.msgpack.Decoder(RankResult, dec_hook=whole, ext_hook=_array)
