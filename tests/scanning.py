"""Events as Kineto writes them, odd ones and damaged ones, on which compiled and general decoding must agree."""

import tempfile
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from traceana.errors import TraceanaError
from traceana.trace import table
from traceana.trace.read import read_rank

Members = dict[str, tuple[str, ...]]
_HEAD, _TAIL = b'{"baseTimeNanoseconds": 1000, "with_stack": 1, "traceEvents": [', b'], "traceName": "x"}'
_PLAIN: Members = {
    "ph": ('"X"', '"X"', '"X"', '"X"', '"s"', '"M"'),
    "cat": (
        *('"kernel"', '"gpu_memcpy"', '"cuda_runtime"', '"cuda_driver"', '"cpu_op"', '"user_annotation"'),
        *('"gpu_user_annotation"', '"python_function"', '"cuda_sync"', '"Trace"', '"hpu_op"', '"overhead"'),
    ),
    "name": (
        *('"ncclDevKernel_AllReduce(x)"', '"gemm"', '"aten::mm"', '"record_param_comms"', '"nccl:all_reduce"', '"é"'),
        *('"gloo:all_reduce"', '"cudaLaunchKernel"', '"cudaGraphLaunch"', '"cudaStreamSynchronize"', '"step"', '""'),
        *('"a \\" b\\n"', '"\\u00e9"', '"nn.Module: Linear_0"', '"autograd::engine::evaluate_function: Mm"'),
        '"Stream Wait Event"',
    ),
    "tid": ("7", "420", '"stream 7"', "7.0", "null", "-1", "123456789012345678901234567890"),
    "ts": ("1.5", "2", "4632873350263.944", "1790857026123456.789", "-3.25", "0", "0.001", "8796093022207.999", "-0.0"),
    "dur": ("0", "1", "2.5", "0.001", "2140.810", "-1", "1099511627775.999"),
    "id": ("1", "null", '"a"', "1e3", "18446744073709551615", '[1, {}, {"a": [[]]}]', "0.25", "-0"),
}
_ODD: Members = {
    "ph": ('"\\u0058"', "1", "null", '"XX"', '"\\""', '""'),
    "cat": ("null", '"\\ud800"', '"kern\\u0065l"', "5"),
    "name": ("null", '"\\ud83d\\ude00"', '"\\ud83d"', '"a\tb"', '"\\q"', "[]", '"a"b"'),
    "tid": ("[]", "true", "{}", '"\\u0037"', "7e0", "-", "07"),
    "ts": ("null", '"1.5"', "1.0005", "1e3", "NaN", "01", "1.", "1,5", "-", "9007199254740993", "1e300", "true"),
    "dur": ("null", '"1"', "0.0025", "1e2", "1e300", "Infinity", "8796093022208", "99999999999999999"),
    "id": ("01", "tru", "1.e3", '"\\x"', "[1,]", '{"a" 1}', "+1", "1e", "[" * 70 + "]" * 70),
}
_ARGUMENTS = (
    *("device", "stream", "correlation", "External id", "Sequence number", "Fwd thread id", "grid", "block"),
    *(
        "Collective name",
        "Process Group Ranks",
        "dtype",
        "Seq",
        "In msg nelems",
        "Input Dims",
        "Ev Idx",
        "wait_on_stream",
    ),
)
_VALUES = (
    *("0", "1", "2", "7", "-1", "73302", '"allgather"', "[1, 2, 3]", '"[0, 1]"', "[[512, 1024], []]", '"BFloat16"'),
    *('""', "{}", "[]", "null", "11.636364", '"c10::BFloat16"', '{"a": {"b": [true, false]}}'),
)
_ODD_VALUES = (
    *(
        '"7"',
        "7.0",
        "1e3",
        "1e999",
        "18446744073709551615",
        "281474976710657",
        "4611686018427387905",
        "true",
        '"\\ud800"',
    ),
    *("123456789012345678901234567890", "NaN", "-", '"\\u00e9"', "0.1e-5", "[1,]", "{,}", '"a\nb"', "-0", '"é\\\\"'),
)


def events_of(draw: Random, odd: float) -> bytes:
    """Some events, of whose values so large a share is odd."""
    between = draw.choice((",", ", ", ",\n  "))
    return between.join(_event(draw, odd, between) for _ in range(draw.randint(0, 24))).encode()


def _event(draw: Random, odd: float, between: str) -> str:
    names = [name for name in _PLAIN if draw.random() < (0.1 if name == "id" else 0.97)]
    members = [(name, draw.choice((_ODD if draw.random() < odd else _PLAIN)[name])) for name in names]
    if draw.random() < 0.9:
        members.append(("args", _arguments(draw, odd, between)))
    return _object(draw, members, odd, between)


def _arguments(draw: Random, odd: float, between: str) -> str:
    if draw.random() < odd:
        return draw.choice((*_VALUES, *_ODD_VALUES))
    names = [name for name in _ARGUMENTS if draw.random() < 0.4]
    members = [
        (name, draw.choice(_ODD_VALUES if draw.random() < odd else _VALUES[: draw.choice((6, 18))])) for name in names
    ]
    return _object(draw, members, odd, between)


def _object(draw: Random, members: list[tuple[str, str]], odd: float, between: str) -> str:
    draw.shuffle(members)
    if members and draw.random() < odd:
        members.append(draw.choice(members))
    if members and draw.random() < odd / 2:
        name, value = members.pop()
        members.append((f"{name[:-1]}\\u{ord(name[-1]):04x}", value))
    colon = draw.choice((":", ": ", " : "))
    return "{" + between.join(f'"{name}"{colon}{value}' for name, value in members) + "}"


def damaged(draw: Random, events: bytes) -> bytes:
    """The events with a few bytes changed, left out, or put in."""
    content = bytearray(events)
    for _ in range(draw.randint(1, 3)):
        at = draw.randint(0, len(content))
        new = draw.choice(
            (b"", b"\0", b'"', b"\\", b"{", b"}", b"]", b",", b"\xff", b"\n", b"9", b"-", b"e", b"\x1f", b" ")
        )
        content[at : at + draw.randint(0, 2)] = new
    return bytes(content)


def columns_of(events: bytes, *, compiled: bool) -> object:
    """All that is read of a trace of these events; of what cannot be read the error's words."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        file = Path(folder, "rank0.json")
        file.write_bytes(_HEAD + events + _TAIL)
        if not compiled:
            patch.setattr(table, "scan", None)
        try:
            return values(msgspec.structs.replace(read_rank(file), path=Path()))
        except TraceanaError as error:
            return type(error)


def values(found: Any) -> object:
    """A struct of columns as what `==` compares."""
    if isinstance(found, np.ndarray):
        return str(found.dtype), found.tolist()
    if isinstance(found, msgspec.Struct):
        return {name: values(getattr(found, name)) for name in found.__struct_fields__}
    return found


@given(seed=st.integers(0, 1 << 32), odd=st.sampled_from((0.0, 0.0, 0.01, 0.1)))
def both_read_the_same(seed: int, odd: float) -> None:
    events = events_of(Random(seed), odd)
    assert columns_of(events, compiled=True) == columns_of(events, compiled=False)
    assert odd or table.scanned(events) is not None, "what Kineto writes is scanned"


@given(seed=st.integers(0, 1 << 32), odd=st.sampled_from((0.0, 0.02)))
def both_read_the_same_of_what_is_damaged(seed: int, odd: float) -> None:
    draw = Random(seed)
    events = damaged(draw, events_of(draw, odd))
    assert columns_of(events, compiled=True) == columns_of(events, compiled=False)


HOLDS = (both_read_the_same, both_read_the_same_of_what_is_damaged)
