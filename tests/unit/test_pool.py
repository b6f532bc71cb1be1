"""A process that dies, or finds no memory, loses what it was reading and nothing else."""

import os
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from traceana.errors import TraceanaError
from traceana.pool import each, spread


def read(path: Path) -> str:
    """What a worker does: some files kill it, some take too much memory, some cannot be read."""
    match path.stem:
        case "kills":
            os.kill(os.getpid(), signal.SIGKILL)
        case "large":
            raise MemoryError
        case "odd":
            raise TraceanaError(f"{path}: is odd")
        case "killed-once" if not path.exists():
            path.touch()
            os.kill(os.getpid(), signal.SIGKILL)
    return path.stem


def outcomes(items: list[Path], workers: int) -> list[str]:
    return [str(result) for result in each(read, items, workers, lambda _done, _all, _name: None)]


@pytest.mark.parametrize("at", [0, 3])
def test_a_killed_worker_loses_its_rank_alone_and_the_line_names_it(at: int) -> None:
    names = ["a", "b", "odd", "c", "d"]
    names.insert(at, "kills")
    found = outcomes([Path(name) for name in names], workers=2)
    (line,) = (text for text in found if text.startswith("kills: "))
    assert "was killed" in line
    assert [text for text in found if text is not line] == ["a", "b", "odd: is odd", "c", "d"]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_file_that_takes_too_much_memory_is_named_and_the_rest_is_read(workers: int) -> None:
    found = outcomes([Path(name) for name in ("a", "large", "b")], workers)
    assert (found[0], found[2]) == ("a", "b")
    assert found[1].startswith("large: takes more memory")


def test_a_file_whose_process_was_killed_beside_others_is_read_by_itself(tmp_path: Path) -> None:
    assert outcomes([Path("a"), tmp_path / "killed-once", Path("b")], workers=2) == ["a", "killed-once", "b"]


def elsewhere(item: tuple[int, int]) -> int:
    """The second number; a process other than the first one says dies of a 3, and finds no memory for a 4."""
    here, number = item
    if os.getpid() != here and number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    if os.getpid() != here and number == 4:
        raise MemoryError
    return number


@pytest.mark.parametrize("numbers", [range(3), [0, 4, 1], range(20)])
def test_what_processes_beside_this_one_cannot_do_is_done_here_in_its_place(numbers: Sequence[int]) -> None:
    with spread(2) as over:
        assert list(over(elsewhere, [(os.getpid(), number) for number in numbers])) == list(numbers)


def with_process(number: int) -> tuple[int, int]:
    return number, os.getpid()


def is_odd(number: int) -> bool:
    return bool(number % 2)


def test_work_is_taken_up_a_little_ahead_of_its_results_and_what_is_not_worth_the_way_stays_here() -> None:
    numbers = iter(range(20))
    with spread(2) as over:
        found = over(with_process, numbers, is_odd)
        first = next(found)
        assert 1 < next(numbers) < 10
        assert all((process != os.getpid()) == is_odd(number) for number, process in [first, *found])
