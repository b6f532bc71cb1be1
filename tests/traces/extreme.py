"""Sound JSON with values that no run can have: uninitialised memory, an unsigned minus one, a clock that was off."""

from tests.synthetic.kineto import Event
from tests.traces.base import changed

_UNSIGNED_MINUS_ONE = 2**64 - 1


def no_timestamp() -> bytes:
    """Taken for zero it would start at boot."""

    def lose(kernels: list[Event]) -> None:
        kernels[2]["ts"] = None

    return changed(lose)


def deep_nesting() -> bytes:
    """More than a recursive parser's stack."""

    def nest(kernels: list[Event]) -> None:
        arguments(kernels[0])["note"] = "HERE"

    return changed(nest).replace(b'"HERE"', b"[" * 4000 + b"]" * 4000)


def huge_duration() -> bytes:
    """An end that was never written."""

    def stretch(kernels: list[Event]) -> None:
        kernels[0]["dur"] = 1e30

    return changed(stretch)


def huge_numbers(*keys: str) -> bytes:
    """Both collectives' `keys` where nothing was known."""

    def fill(kernels: list[Event]) -> None:
        for kernel in kernels[1::2]:
            arguments(kernel).update(dict.fromkeys(keys, _UNSIGNED_MINUS_ONE))

    return changed(fill)


def negative_message() -> bytes:
    """Both collectives' sizes where nothing was known, signed."""

    def fill(kernels: list[Event]) -> None:
        for kernel in kernels[1::2]:
            arguments(kernel).update({"In msg nelems": -1, "Out msg nelems": -1})

    return changed(fill)


def arguments(event: Event) -> Event:
    """An event's `args`."""
    args = event["args"]
    assert isinstance(args, dict)
    return args
