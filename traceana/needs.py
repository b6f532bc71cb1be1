"""Packages that reading does without: they come with the extra `full`, and what needs one says so in a line."""

import importlib.util

from traceana.errors import TraceanaError

INSTALL = "pip install 'traceana[full]'"
# The module that is imported -> what pip calls the package.
PACKAGES = {"torch": "torch", "hta": "holistictraceanalysis"}


def has(module: str) -> bool:
    """Whether this Python has the module; a quick look, which imports nothing."""
    return importlib.util.find_spec(module) is not None


def need(module: str, what: str) -> None:
    """Raise TraceanaError where this Python has no such module, which `what` cannot do without."""
    if not has(module):
        raise TraceanaError(f"{what} needs {PACKAGES[module]}, which is not installed here: {INSTALL}")
