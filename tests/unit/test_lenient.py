"""One field of an odd type costs that field at most, in events and in the header."""

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.traces import base
from tests.traces.extreme import arguments
from traceana.analyze.measure import RankResult, measure_rank
from traceana.trace.events import decode_events
from traceana.trace.header import decode_header, split_object
from traceana.trace.lenient import decode_struct, number, ranks


class _Row(msgspec.Struct):
    count: int | None = msgspec.field(name="A count", default=None)
    name: str | None = None
    factor: float = 1.0
    dims: msgspec.Raw = msgspec.Raw(b"[]")


@pytest.mark.parametrize(
    ("value", "expected"),
    [("12", 12), (" -3 ", -3), (7.0, 7), (2**64 - 1, -1), (2**63, -(2**63)), ("18446744073709551615", -1)]
    + [
        (value, None) for value in (True, None, "", "a", "0\x1c", "7\u2003", "1.5", 1.5, 1e30, 2**64, [1], float("inf"))
    ],
)
def test_numbers(value: object, expected: int | None) -> None:
    assert number(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("[0, 1]", (0, 1)),
        ("(4,5)", (4, 5)),
        ("0 1", (0, 1)),
        ([2, "3"], (2, 3)),
        ("[0, 1, ...]", None),
        ("[0, ..., 63]", None),
        ([0, None], None),
        ([-1], None),
        ("", None),
        ([], None),
        ({"0": 1}, None),
    ],
)
def test_lists_of_ranks(value: object, expected: tuple[int, ...] | None) -> None:
    assert ranks(value) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{"A count": "5", "name": 3, "factor": "2.5"}', _Row(count=5, name="3", factor=2.5)),
        (b'{"A count": {}, "name": "x", "factor": []}', _Row(name="x")),
        (b'{"A count": "1", "dims": [[4096]]}', _Row(count=1, dims=msgspec.Raw(b"[[4096]]"))),
        (b"[1]", _Row()),
        (b"null", _Row()),
    ],
)
def test_fields_are_read_one_by_one(data: bytes, expected: _Row) -> None:
    assert decode_struct(data, msgspec.json.Decoder(_Row)) == expected


def test_times_in_strings_are_times() -> None:
    chunk = decode_events(b'{"ph":"X","ts":"1790857026123456.789","dur":"2.5"},{"ph":"X","ts":1}')
    assert (chunk.starts_ns, chunk.events[0].dur) == ([1790857026123456789, 1000], 2.5)


HEADER = {
    "distributedInfo": {
        "backend": 7,
        "rank": "3",
        "world_size": 4.0,
        "nccl_version": ["2", "27"],
        "pg_config": [{"pg_name": 0, "ranks": "[0, 1, 2, 3]", "pg_size": "4"}, "odd", {"pg_name": "1", "ranks": None}],
    },
    "deviceProperties": [{"id": "0", "name": "NVIDIA H100"}, None],
    "baseTimeNanoseconds": "1700000000000000000",
    "host_name": "gpu_node7",
}


@pytest.mark.parametrize("damage", ["", ', "traceName": "C:\\tmp\\x"', ', "traceName": "cut'])
def test_a_header_with_odd_types_or_damage_still_tells_the_rest(damage: str) -> None:
    text = json.dumps(HEADER)[:-1] + damage + ("" if damage.endswith("cut") else "}")
    header = decode_header(text.encode())
    info = header.distributed
    assert info is not None
    assert (header.rank, info.world_size, header.host, header.base_time_ns) == (3, 4, "gpu_node7", 1700000000000000000)
    assert [(group.pg_name, group.ranks, group.pg_size) for group in info.pg_config] == [
        ("0", [0, 1, 2, 3], 4),
        ("1", [], None),
    ]
    assert [device.name for device in header.devices] == ["NVIDIA H100"]


@pytest.mark.parametrize(
    "value",
    [
        '{"backend": nccl, "rank": 3, "world_size": "4", "pg_config": []}',
        '{"nccl_version": unknown, "rank": "3", "world_size": 4}',
        '{"rank": 3, "world_size": 4, "pg_config": [{"pg_name": "0",}]}',
        '"{\\"rank\\": 3, \\"world_size\\": 4}"',
        '[{"rank": 3, "world_size": 4}]',
        '{"rank": 3, "world_size": 4, "pg_config": {"pg_name": "0"}, "backend": NaN}',
    ],
)
def test_a_rank_beside_what_is_no_json(value: str) -> None:
    info = decode_header(f'{{"schemaVersion": 1, "distributedInfo": {value}, "traceName": "x"}}'.encode()).distributed
    assert info is not None
    assert (info.rank, info.world_size) == (3, 4)


@pytest.mark.parametrize("host", ["localhost", "", " ", 5, None])
def test_a_host_name_that_names_no_host_is_none(host: object) -> None:
    assert decode_header(json.dumps({"host_name": host}).encode()).host is None


def _measured(folder: Path, **values: object) -> RankResult:
    content = base.good()
    for kernel in base.kernels_of(content)[1::2]:
        arguments(kernel).update(values)
    file = folder / "rank0.json"
    file.write_bytes(base.compact(content))
    return measure_rank(file)


def test_numbers_in_strings_give_the_same_calls(tmp_path: Path) -> None:
    texts = {"In msg nelems": "4096", "Out msg nelems": "4096", "Group size": "1", "Process Group Ranks": [0]}
    odd = _measured(tmp_path, **texts, **{"stream": "20", "Process Group Name": 0})
    (signature,) = odd.collectives.signatures
    assert (odd.comm_kernels, odd.damage.skipped_events) == (base.COMM_KERNELS, 0)
    assert (signature.message_bytes, signature.group_size, signature.group) == (8192, 1, (0,))
    assert signature.group_name == "0"


@pytest.mark.parametrize("correlation", [2**63 - 1, 2**63, 2**64 - 1, "18446744073709551614"])
def test_any_unsigned_correlation_is_kept(tmp_path: Path, correlation: object) -> None:
    result = _measured(tmp_path, correlation=correlation)
    assert (result.comm_kernels, result.damage.skipped_events) == (base.COMM_KERNELS, 0)


def test_arguments_that_are_none_cost_no_kernel(tmp_path: Path) -> None:
    content = base.good()
    odd: tuple[object, ...] = ([], "none", 4, None)
    for kernel, args in zip(base.kernels_of(content), odd, strict=True):
        kernel["args"] = args
    (tmp_path / "rank0.json").write_bytes(base.compact(content))
    result = measure_rank(tmp_path / "rank0.json")
    assert (result.kernels, result.damage.skipped_events) == (base.KERNELS, 0)


def test_bad_utf8_in_arguments_costs_no_kernel(tmp_path: Path) -> None:
    (tmp_path / "rank0.json").write_bytes(
        base.compact(base.good()).replace(b'"registers per', b'"odd":"\xff","registers')
    )
    result = measure_rank(tmp_path / "rank0.json")
    assert (result.kernels, result.damage.skipped_events) == (base.KERNELS, 0)


_KEYS = ("distributedInfo", "deviceProperties", "baseTimeNanoseconds", "host_name", "with_stack", "traceName")
_INSIDE = ("rank", "world_size", "pg_config", "pg_name", "pg_desc", "pg_size", "ranks", "backend", "id", "name")
_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | st.sampled_from(["[0, 1]", "{}"]),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.sampled_from(_INSIDE), inside, max_size=5),
    max_leaves=12,
)


@settings(deadline=None)
@given(
    content=st.dictionaries(st.sampled_from(_KEYS), _values),
    cut=st.integers(0, 400),
    damage=st.binary(max_size=4),
)
def test_any_header_whole_or_damaged_is_a_header(content: dict[str, object], cut: int, damage: bytes) -> None:
    whole = json.dumps(content).encode()
    for text in (whole, whole[:cut] + damage + whole[cut:], whole[:cut]):
        found = decode_header(text)
        assert decode_header(msgspec.json.encode({"distributedInfo": found.distributed})).rank == found.rank
        assert found.base_time_ns is None or abs(found.base_time_ns) <= 1 << 62
        keys, rest = split_object(text)
        assert keys + rest == text.decode("utf-8", "replace").encode()


@pytest.mark.parametrize("value", [b"[" * 5_000 + b"]" * 5_000, b'"\xff"', b"1" * 5_000, b'["\xff\xfe"]'])
@pytest.mark.parametrize("key", [b"odd", b"stream", b"Input type", b"Process Group Ranks", b"Seq"])
def test_an_argument_that_no_reader_takes_ends_no_analysis(tmp_path: Path, key: bytes, value: bytes) -> None:
    event = b'"registers per thread"'
    data = base.compact(base.good()).replace(event, b'"' + key + b'":' + value + b"," + event)
    (tmp_path / "rank0.json").write_bytes(data)
    result = measure_rank(tmp_path / "rank0.json")
    assert base.KERNELS - result.kernels <= result.damage.skipped_events <= 2
    assert result.comm_kernels == base.COMM_KERNELS
