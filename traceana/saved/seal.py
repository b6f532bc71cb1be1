"""A seal before what is kept: it shows whether a disk gave back what it was given."""

import struct

from zlib_ng import zlib_ng

_SEAL = struct.Struct("<QI")
LENGTH = _SEAL.size


def sealed(content: bytes) -> bytes:
    """The content behind its length and checksum."""
    return _seal(content) + content


def unsealed(content: bytes | memoryview) -> memoryview:
    """What `sealed` was given, where it lies. Raises ValueError for anything else."""
    inside = memoryview(content)[LENGTH:]
    if _seal(inside) != content[:LENGTH]:
        raise ValueError("not as it was written")
    return inside


def _seal(content: bytes | memoryview) -> bytes:
    return _SEAL.pack(len(content), zlib_ng.crc32(content))
