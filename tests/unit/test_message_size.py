import pytest

from traceana.analyze.message_size import bus_factor, dtype_bytes, message_bytes


@pytest.mark.parametrize(
    ("op", "in_nelems", "out_nelems", "expected"),
    [
        ("all_reduce", 1000, 1000, 2000),
        ("all_gather", 1000, 4000, 8000),
        ("reduce_scatter", 4000, 1000, 8000),
        ("all_to_all", 4000, 4000, 8000),
        ("broadcast", 1000, 1000, 2000),
        ("barrier", 1, 1, None),
        ("all_reduce", None, None, None),
    ],
)
def test_message_size_as_nccl_tests_counts_it(op: str, in_nelems: int, out_nelems: int, expected: int) -> None:
    assert message_bytes(op, "BFloat16", in_nelems, out_nelems, 4) == expected


@pytest.mark.parametrize("dtype", ["Float8_e4m3fn", "Float8_e5m2fnuz", "float8_e8m0fnu", "Byte", "Bool"])
def test_one_byte_dtypes(dtype: str) -> None:
    assert dtype_bytes(dtype) == 1


def test_unknown_dtype_has_no_size() -> None:
    assert dtype_bytes("Opaque") is None
    assert message_bytes("all_reduce", "Opaque", 10, 10, 2) is None


def test_bus_factors() -> None:
    assert (bus_factor("all_reduce", 4), bus_factor("all_gather", 4), bus_factor("broadcast", 4)) == (1.5, 0.75, 1.0)


@pytest.mark.parametrize(("nelems", "group_size"), [(1 << 47, 1 << 47), (1 << 40, 1 << 23), (-1, 4), (0, 4)])
def test_a_size_that_no_memory_holds_is_not_known(nelems: int, group_size: int) -> None:
    assert message_bytes("all_gather", "BFloat16", nelems, nelems, group_size) is None


@pytest.mark.parametrize(
    ("dtype", "size"),
    [
        ("unsigned char", 1),
        ("signed char", 1),
        ("short int", 2),
        ("unsigned int", 4),
        ("unsigned", 4),
        ("long int", 8),
        ("long unsigned int", 8),
        ("int64_t", 8),
        ("c10::BFloat16", 2),
        ("c10::complex<float>", 8),
        ("c10::complex<c10::Half>", 4),
        ("", None),
    ],
)
def test_the_names_of_cpp(dtype: str, size: int | None) -> None:
    assert dtype_bytes(dtype) == size
