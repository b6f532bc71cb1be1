"""What all tests of a run share."""

import contextlib
import os

import pytest

from tests import warm_node

_RUN = pytest.StashKey[contextlib.ExitStack]()


def pytest_configure(config: pytest.Config) -> None:
    """Start the node, which pytest-xdist's workers find by the environment that they inherit."""
    config.stash[_RUN] = contextlib.ExitStack()
    if warm_node.VARIABLE not in os.environ:
        config.stash[_RUN].enter_context(warm_node.running())


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[_RUN].close()
