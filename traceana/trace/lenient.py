"""Structs from JSON whose types are not quite as expected: one odd field costs that field, not those beside it.

Numbers may be written as strings and names as numbers; an unsigned 64-bit number that int64 cannot hold is read as its
bits (2^64 - 1 is -1), which keeps numbers that are only compared, as correlations are.
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any, TypeVar

import msgspec

T = TypeVar("T", bound=msgspec.Struct)

# ASCII's blanks alone: int() knows fewer of Unicode's than the expression does.
_INTEGER = re.compile(r"\s*[-+]?\d{1,20}\s*", re.ASCII)
_INT64_END, _UINT64_END = 1 << 63, 1 << 64


def decode_struct(data: bytes | msgspec.Raw, decoder: "msgspec.json.Decoder[T]") -> T:
    """Decode an object field by field. Raises msgspec.MsgspecError where it is no JSON; what is no object is empty."""
    values = msgspec.json.decode(data)
    return struct_of(values if isinstance(values, dict) else {}, decoder.type)


def struct_of(values: Mapping[str, Any], kind: type[T]) -> T:
    """`kind` with each field that can be read as its type, the default for others."""
    read = {}
    for field in _fields(kind):
        if field.encode_name in values:
            with suppress(msgspec.ValidationError):
                read[field.name] = _converted(values[field.encode_name], field.type)
    return kind(**read)


@lru_cache
def _fields(kind: type[msgspec.Struct]) -> tuple[msgspec.structs.FieldInfo, ...]:
    """What msgspec takes a tenth of a millisecond to say, which an odd file asks for each of its events."""
    return msgspec.structs.fields(kind)


def _converted(value: object, kind: Any) -> object:
    """The nearest meaning of a value that is of this type; raises msgspec.ValidationError where none is."""
    if kind is msgspec.Raw:
        return msgspec.Raw(msgspec.json.encode(value))
    # A surrogate by itself is no character, and no file can be written with it.
    value = value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
    found = number(value)
    for meaning in (value, found, str(value)) if found is not None else ():
        with suppress(msgspec.ValidationError):
            return msgspec.convert(meaning, kind, strict=False)
    return msgspec.convert(value, kind, strict=False)


def number(value: object) -> int | None:
    """A whole number, also one written as a string, as int64; None for anything else."""
    if type(value) is int and -_INT64_END <= value < _INT64_END:
        return value
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not -_INT64_END <= value < _UINT64_END:
        return None
    return value if value < _INT64_END else value - _UINT64_END


def ranks(value: object) -> tuple[int, ...] | None:
    """A list of ranks, or "[0, 1]"; None where c10d cut it with "..." (over 30 ranks), and for anything else."""
    return _ranks_in_text(value) if isinstance(value, str) else _ranks(value)


# Every call of a group repeats its ranks.
@lru_cache(maxsize=256)
def _ranks_in_text(text: str) -> tuple[int, ...] | None:
    return _ranks(text.strip("[]() ").replace(",", " ").split())


def _ranks(parts: object) -> tuple[int, ...] | None:
    if not isinstance(parts, list | tuple) or not parts:
        return None
    found = [number(part) for part in parts]
    known = tuple(rank for rank in found if rank is not None and rank >= 0)
    return known if len(known) == len(found) else None
