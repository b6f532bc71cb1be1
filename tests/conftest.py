"""What all tests of a run share."""

import contextlib
import os
import tempfile

import pytest

from tests import warm_node, warm_workers

_RUN = pytest.StashKey[contextlib.ExitStack]()


def pytest_configure(config: pytest.Config) -> None:
    """Start the node, which pytest-xdist's workers find by the environment that they inherit."""
    config.stash[_RUN] = contextlib.ExitStack()
    # What a user keeps of their own is not this user's.
    if "XDG_STATE_HOME" not in os.environ:
        os.environ["XDG_STATE_HOME"] = config.stash[_RUN].enter_context(tempfile.TemporaryDirectory())
    # Idle threads of torch's arithmetic spin for work, at the cost of all other processes.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if warm_node.VARIABLE not in os.environ:
        config.stash[_RUN].enter_context(warm_node.running())
        # What is forked later counts no lines that were run before, as pytest-cov does.
        if getattr(config.option, "numprocesses", None) and not getattr(config.option, "cov_source", None):
            warm_workers.prepare(config)


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[_RUN].close()
