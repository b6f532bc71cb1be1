"""Of every real trace at hand at most a tenth of the lost time has no cause."""

from pathlib import Path

import pytest

from tests.unexplained import answers, real_runs

MOST = 0.1


@pytest.mark.parametrize("path", real_runs(), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_at_most_a_tenth_is_unexplained(path: Path) -> None:
    for answer in answers(path):
        assert answer.unexplained <= MOST, str(answer)
        assert sum(answer.causes.values()) == answer.whole_ns
