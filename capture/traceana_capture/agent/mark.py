"""The file that says, from a window's start to its export's end, that this process records: for the run's guard."""

import contextlib
import os
from pathlib import Path


class Mark:
    """Of this process, also after a fork."""

    def __init__(self, workdir: str) -> None:
        self._workdir = Path(workdir)

    @property
    def path(self) -> Path:
        """The file; those of this rank's trace and requests are beside it, with other suffixes."""
        return self._workdir / f"{os.getpid()}.window"

    def set(self) -> None:
        """The window opens."""
        with contextlib.suppress(OSError):
            self.path.touch()

    def unset(self) -> None:
        """The export is over."""
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)
