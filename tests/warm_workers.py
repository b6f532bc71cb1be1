"""pytest-xdist's workers as forks of the pytest that starts them, which has imported all modules of tests."""

import contextlib
import importlib
import os
import warnings
from pathlib import Path

import pytest

from tests import warm_python


def prepare(config: pytest.Config) -> None:
    """Import the tests' modules, rewritten as workers would do it, and have workers be forks."""
    with warnings.catch_warnings():
        # As `filterwarnings`: a worker then imports the module anew, and fails.
        warnings.simplefilter("error")
        for module in _modules(config):
            with contextlib.suppress(Exception, pytest.skip.Exception):
                importlib.import_module(module)
    # The profiler's first start imports it, in each worker.
    importlib.import_module("torch._inductor.config")
    warm_python.fork_instead()
    os.environ[warm_python.GENERATIONS] = "1"


def _modules(config: pytest.Config) -> list[str]:
    """Those of the files and folders that pytest is given."""
    given = [config.invocation_params.dir / argument.partition("::")[0] for argument in config.args]
    files = [file for path in given for file in ([path] if path.is_file() else sorted(path.rglob("test_*.py")))]
    return [_name(file.relative_to(config.rootpath)) for file in files]


def _name(file: Path) -> str:
    return ".".join(file.with_suffix("").parts)
