"""Sound files that are unlike most: what real writers and real runs do."""

import json

from tests.synthetic.kineto import BASE_TIME_NS, CollectiveArgs, Event, EventWriter, Group
from tests.traces.base import (
    ALL_REDUCE,
    START_NS,
    WORLD,
    add_kernel,
    changed,
    compact,
    finish,
    good,
    kernels_of,
    packed,
    pretty,
)
from tests.traces.extreme import arguments

_COLLECTIVE_KEYS = tuple(CollectiveArgs(name="", in_nelems=0, out_nelems=0, dtype="", group=WORLD).as_args())


def no_events() -> bytes:
    """The window closed before anything happened."""
    return pretty({**good(), "traceEvents": []})


def no_nccl_events() -> bytes:
    """Compute alone."""
    content = good()
    events = content["traceEvents"]
    assert isinstance(events, list)
    content["traceEvents"] = [event for event in events if event["name"] not in (ALL_REDUCE, "record_param_comms")]
    return pretty(content)


def rank_without_space() -> bytes:
    """A writer other than Kineto."""
    return compact(good(rank=3, group=Group(name="0", description="default_pg", ranks=(3,))))


def rank_one() -> bytes:
    """A file of rank 1."""
    return compact(good(rank=1, group=Group(name="0", description="default_pg", ranks=(1,))))


def events_before_header() -> bytes:
    """JSON objects have no order."""
    content = good(rank=5, group=Group(name="0", description="default_pg", ranks=(5,)))
    return pretty({"traceEvents": content.pop("traceEvents"), **content})


def list_top_level() -> bytes:
    """The format's other form: no header, so no rank either."""
    return json.dumps(good()["traceEvents"], indent=1).encode()


def absolute_timestamps() -> bytes:
    """Written digit by digit: 0.25 µs is all that a double could tell apart here.

    Kernels of 40 ns at .001 and .051, then a collective of 120 ns at 200.212 µs; overlap and gaps need every digit.
    """
    starts = ("1790857026123456.001", "1790857026123456.051", "1790857026123656.212")
    durations = ("0.040", "0.040", "0.120")
    names = ("first_product", "second_product", ALL_REDUCE)
    events = [
        f'{{"ph":"X","cat":"kernel","name":"{name}","pid":0,"tid":7,"ts":{start},"dur":{dur},"args":{{"stream":7}}}}'
        for name, start, dur in zip(names, starts, durations, strict=True)
    ]
    return b'{"schemaVersion":1,"traceEvents":[\n' + ",\n".join(events).encode() + b"\n]}\n"


def overrunning_duration() -> bytes:
    """The first product seems to last until 10 µs into the all-reduce; on compute's side that is 20 µs more."""

    def overrun(kernels: list[Event]) -> None:
        kernels[0]["dur"] = 100.0

    return changed(overrun)


def correlation_zero() -> bytes:
    """Roctracer could not tell which call launched them."""

    def unlink(kernels: list[Event]) -> None:
        for kernel in kernels:
            kernel["args"] = {**arguments(kernel), "correlation": 0}

    return changed(unlink)


def sub_microsecond_kernels() -> bytes:
    """Eight of them: whole µs would make half of them vanish and the others double."""
    writer = EventWriter(rank=0)
    for number in range(8):
        add_kernel(writer, START_NS + number * 680, 480)
    return pretty(finish(writer))


def stream_zero() -> bytes:
    """The default stream."""

    def move(kernels: list[Event]) -> None:
        for kernel in kernels:
            kernel["tid"] = 0
            kernel["args"] = {**arguments(kernel), "stream": 0}

    return changed(move)


def gpu_user_annotation() -> bytes:
    """Same process and thread as the kernels, another category."""
    content = good()
    events = content["traceEvents"]
    assert isinstance(events, list)
    span = {"ph": "X", "cat": "gpu_user_annotation", "name": "nccl:all_reduce", "pid": 0, "tid": 7}
    events.append({**span, "ts": START_NS / 1000, "dur": 290.0, "args": {"External id": 1}})
    return pretty(content)


def fp8_dtype() -> bytes:
    """One byte an element."""
    return pretty(good(dtype="Float8_e4m3fn"))


def nccl_generic() -> bytes:
    """RCCL uses one kernel for all operations."""
    content = good()
    for kernel in kernels_of(content):
        if kernel["name"] == ALL_REDUCE:
            kernel["name"] = "ncclDevKernel_Generic(ncclDevKernelArgsStorage<4096ul>)"
            kernel["args"] = {key: value for key, value in arguments(kernel).items() if key not in _COLLECTIVE_KEYS}
    events = content["traceEvents"]
    assert isinstance(events, list)
    content["traceEvents"] = [event for event in events if event["name"] != "record_param_comms"]
    return pretty(content)


def long_ranks_list() -> bytes:
    """torch cuts the list after 30 ranks; the header has all."""
    return compact(good(group=Group(name="0", description="default_pg", ranks=tuple(range(64)))))


def launched_before_window() -> bytes:
    """The device was busy with earlier launches when the window opened."""
    content = good()
    events = content["traceEvents"]
    assert isinstance(events, list)
    content["traceEvents"] = [event for event in events if event.get("cat") not in ("cuda_runtime", "ac2g")]
    return pretty(content)


def nested_brackets() -> bytes:
    """Whoever looks for the end of an event in the text finds it here."""

    def confuse(kernels: list[Event]) -> None:
        kernels[0]["args"] = {
            **arguments(kernels[0]),
            "note": '}, {"ph": "X"',
            "more": {"deep": [{"er": "}, {"}, {"x": []}]},
        }
        kernels[1]["args"] = {**arguments(kernels[1]), "note": '}], "x": 1}', "tail": '"}\n  ],\n  "traceName": "'}
        kernels[2]["name"] = 'kernel<"}], \\"traceName\\": \\"">'

    return changed(confuse)


def concatenated_gzip() -> bytes:
    """Some writers close and reopen the stream."""
    data = pretty(good())
    return packed(data[: len(data) // 2]) + packed(data[len(data) // 2 :])


def byte_order_mark() -> bytes:
    """Saved by an editor."""
    return b"\xef\xbb\xbf" + pretty(good())


def crlf() -> bytes:
    """Written on Windows."""
    return pretty(good()).replace(b"\n", b"\r\n")


def compact_layout() -> bytes:
    """No space at all."""
    return compact(good())


def pretty_layout() -> bytes:
    """Much space."""
    return json.dumps(good(), indent=8).encode()


def integer_timestamps() -> bytes:
    """Kineto before 2023."""
    content = good()
    events = content["traceEvents"]
    assert isinstance(events, list)
    content["traceEvents"] = [
        {key: int(value) if key in ("ts", "dur") else value for key, value in event.items()} for event in events
    ]
    return pretty({**content, "baseTimeNanoseconds": BASE_TIME_NS})


def exponents() -> bytes:
    """Legal JSON numbers that no one expects."""
    data = pretty(good())
    return data.replace(b'"dur": 80.0', b'"dur": 8e1').replace(b'"dur": 50.0', b'"dur": 5.0E+1')
