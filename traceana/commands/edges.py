"""Edges between sizes of messages, as `--buckets` takes them."""

import re

from traceana.errors import TraceanaError

_UNITS = {"": 1, "b": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "kb": 10**3, "mb": 10**6, "gb": 10**9}


def parse_edges(text: str) -> tuple[int, ...]:
    """ "1MiB,10MiB" to bytes, ascending. Raises TraceanaError for anything else."""
    edges = tuple(_parse_size(part.strip()) for part in text.split(","))
    if list(edges) != sorted(set(edges)) or edges[0] <= 0:
        raise TraceanaError(f"--buckets {text}: sizes must rise, as in 1MiB,10MiB")
    return edges


def _parse_size(text: str) -> int:
    number = text.rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    unit = text[len(number) :].lower()
    if unit not in _UNITS or not re.fullmatch(r"\s*[0-9]{1,9}\s*", number):
        raise TraceanaError(f"--buckets: {text or 'an empty size'} is no size; write for example 1MiB,10MiB")
    return int(number) * _UNITS[unit]
