"""Broken files: what a crash, a full disk or a careless writer leaves."""

from tests.traces.base import ALL_REDUCE, MATRIX_PRODUCT, compact, good, kernels_of, packed, pretty, readable, replaced

_FRAME = b"model.py(12): forward"


def truncated_json() -> bytes:
    """Cut in the middle of the last kernel's name."""
    data = pretty(good())
    return data[: data.rindex(ALL_REDUCE.encode()) + 20]


def truncated_gzip() -> bytes:
    """Cut where the readable text ends in the middle of the last kernel."""
    data = pretty(good())
    whole = packed(data)
    last = data.rindex(ALL_REDUCE.encode())
    inside = [cut for cut in range(len(whole)) if last + 10 < len(readable(whole[:cut])) < last + 400]
    return whole[: inside[0]]


def bad_utf8() -> bytes:
    """Latin-1 in a name."""
    return replaced(MATRIX_PRODUCT.encode(), b"nvjet_\xe9\xff_TNT")


def control_characters() -> bytes:
    """JSON wants them escaped."""
    return replaced(MATRIX_PRODUCT.encode(), b"nvjet\n\x01_TNT")


def nan_value() -> bytes:
    """C++ prints what it has."""
    return replaced(
        b'"blocks per SM": 0.015152,\n        "est. achieved occupancy %": 0',
        b'"blocks per SM": -Infinity,\n        "est. achieved occupancy %": NaN',
    )


def decimal_comma() -> bytes:
    """The locale of the process reaches two figures of every kernel."""
    data = pretty(good())
    for figure in (b"0.015152", b"7.757576", b"31.030304"):
        data = data.replace(figure, figure.replace(b".", b","))
    return data


def decimal_comma_in_ts() -> bytes:
    """The locale reaches the first kernel's times as well."""
    first = kernels_of(good())[0]
    ts = str(first["ts"])
    old = f'"tid": 7,\n      "ts": {ts},\n      "dur": 80.0'.encode()
    return replaced(old, old.replace(b".0", b",000"))


def unescaped_quotes() -> bytes:
    """`torch.compile` names a frame after a dict."""
    frame = b'{"device": "cpu", "dtype": "float32"}(12): run'
    return _with_frame().replace(_FRAME, frame)


def unescaped_backslashes() -> bytes:
    """Paths of Windows, where \\c is no escape and \\b is one."""
    return _with_frame().replace(_FRAME, rb"torch\cuda\backends\__init__.py(219): _lazy_init")


def trailing_comma() -> bytes:
    """Allowed by Chrome's own reader, not by JSON."""
    data = pretty(good())
    end = data.rindex(b"\n  ],\n")
    return data[:end] + b"," + data[end:]


def no_commas() -> bytes:
    """Events one after the other, as a writer that was stopped and started leaves them."""
    return compact(good()).replace(b'},{"ph"', b'}\n{"ph"')


def no_duration() -> bytes:
    """A kernel still running when the window closed, and one with swapped times."""
    content = good()
    first, _, second, _ = kernels_of(content)
    del first["dur"]
    second["dur"] = -80.0
    return pretty(content)


def _with_frame() -> bytes:
    """The good trace with a Python frame between its other events."""
    content = good()
    events = content["traceEvents"]
    assert isinstance(events, list)
    frame = {"ph": "X", "cat": "python_function", "name": _FRAME.decode(), "pid": 4000, "tid": 4000}
    events.insert(4, {**frame, "ts": 4636077894970.5, "dur": 90.25, "args": {"Python id": 1}})
    return pretty(content)
