"""Templates that an earlier run compiled: compiling all of them takes as long as reading a trace of 40 MB."""

import pickle
from contextlib import suppress

import jinja2
from jinja2.bccache import Bucket

from traceana import __version__


class CompiledTemplates(jinja2.FileSystemBytecodeCache):
    """Keeps them in jinja's folder of this user, which nobody else may write; whatever is wrong there costs time only.

    A template that changed is compiled anew: jinja compares a digest of its source.
    """

    def load_bytecode(self, bucket: Bucket) -> None:
        """Fill the bucket, or leave it empty."""
        with suppress(OSError, EOFError, ValueError, pickle.UnpicklingError):
            super().load_bytecode(bucket)

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep what is in the bucket, where there is room."""
        with suppress(OSError):
            super().dump_bytecode(bucket)


def compiled_templates() -> CompiledTemplates | None:
    """None where this user has no safe folder for them."""
    try:
        # jinja looks at neither its own version nor the environment's options.
        return CompiledTemplates(pattern=f"traceana_{__version__}_{jinja2.__version__}_%s.cache")
    except (OSError, RuntimeError):
        return None
