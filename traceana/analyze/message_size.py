"""Message sizes and bus bandwidth of collective operations.

Sizes and factors follow nccl-tests' PERFORMANCE.md
(https://github.com/NVIDIA/nccl-tests/blob/master/doc/PERFORMANCE.md).
"""

import re

from traceana.kernels import Message, operation_named

_LARGEST = 1 << 60
_DTYPE_BYTES = {
    "float": 4, "float32": 4, "double": 8, "float64": 8, "half": 2, "float16": 2, "bfloat16": 2,
    "char": 1, "int8": 1, "byte": 1, "uint8": 1, "bool": 1, "short": 2, "int16": 2, "uint16": 2, "int": 4, "int32": 4,
    "uint32": 4, "long": 8, "int64": 8, "uint64": 8, "complexfloat": 8, "complexdouble": 16, "complexhalf": 4,
    "complex64": 8, "complex128": 16, "complex32": 4, "qint8": 1, "quint8": 1, "qint32": 4,
    "shortint": 2, "longint": 8, "longlong": 8, "longlongint": 8, "size": 8, "__half": 2, "__nv_bfloat16": 2,
}  # fmt: skip
# `record_shapes` writes C++'s names: "unsigned char", "long int", "c10::complex<float>".
_CPP_WORDS = re.compile(r"\b(?:torch\.|c10::|at::|std::|(?:un)?signed\b)|[\s<>]|_t\b")


def dtype_bytes(dtype: str | None) -> int | None:
    """Bytes of one element, or None for a dtype that is not known. FP8 in every spelling is 1."""
    if not dtype:
        return None
    name = _CPP_WORDS.sub("", dtype.lower()) or "int"
    if name.startswith(("float8", "fp8")):
        return 1
    return _DTYPE_BYTES.get(name)


def message_bytes(
    op: str, dtype: str | None, in_nelems: int | None, out_nelems: int | None, group_size: int | None
) -> int | None:
    """S of nccl-tests in bytes: the buffer, or for gathering and scattering operations the whole over all ranks.

    None where it is not known, or larger than any memory.
    """
    whole = (dtype_bytes(dtype) or 0) * (_whole_nelems(op, in_nelems, out_nelems, group_size) or 0)
    return whole if 0 < whole <= _LARGEST else None


def _whole_nelems(op: str, in_nelems: int | None, out_nelems: int | None, group_size: int | None) -> int | None:
    message = operation_named(op).message
    if message is Message.NOTHING:
        return None
    if op == "all_gather" and in_nelems and group_size and out_nelems and out_nelems > in_nelems:
        # Parts may be uneven: what comes out is the whole on every rank.
        return out_nelems
    if op == "reduce_scatter" and in_nelems and out_nelems and in_nelems > out_nelems:
        return in_nelems
    if message is Message.GATHERED:
        return in_nelems * group_size if in_nelems and group_size else out_nelems or None
    if message is Message.SCATTERED:
        return out_nelems * group_size if out_nelems and group_size else in_nelems or None
    return in_nelems or out_nelems or None


def bus_factor(op: str, group_size: int) -> float:
    """Bus bandwidth over algorithm bandwidth for `group_size` ranks."""
    passes = operation_named(op).passes
    return 1.0 if passes is None else passes * (group_size - 1) / group_size
