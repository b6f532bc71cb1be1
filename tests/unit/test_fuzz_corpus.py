"""What fuzzing found to reach most code is read again in every test run; `make fuzz` looks for more."""

import pytest

from tests.fuzz.__main__ import CORPUS
from tests.fuzz.targets import TARGETS, seeds


@pytest.mark.parametrize("target", TARGETS)
def test_no_input_of_the_corpus_raises(target: str) -> None:
    read = TARGETS[target]
    for seed in seeds(target):
        read(seed)
    for file in sorted((CORPUS / target).glob("*")):
        read(file.read_bytes())
