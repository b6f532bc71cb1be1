"""What all tests of a run share."""

import contextlib
import importlib
import os

import pytest

from tests import warm_node

_RUN = pytest.StashKey[contextlib.ExitStack]()


def pytest_configure(config: pytest.Config) -> None:
    """Start the node, which pytest-xdist's workers find by the environment that they inherit."""
    config.stash[_RUN] = contextlib.ExitStack()
    if warm_node.VARIABLE not in os.environ:
        _compile_once(config)
        config.stash[_RUN].enter_context(warm_node.running())


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[_RUN].close()


def _compile_once(config: pytest.Config) -> None:
    """Import what is large before workers start: after an installation each of them would compile it by itself."""
    if getattr(config.option, "numprocesses", None):
        for name in ("hypothesis", "pandas", "pyarrow.parquet", "torch.distributed", "torch.profiler", "traceana.cli"):
            importlib.import_module(name)
