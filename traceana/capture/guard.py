"""Ends the command when the launcher was killed and cannot: run as a script, with the launcher's pipe on stdin."""

import contextlib
import os
import signal
import sys
import time

# A rank exports when SIGTERM reaches it, so it gets as long as the launcher itself would give it.
GRACE_S = 30.0


def end_group(group: int) -> None:
    """SIGTERM the process group, and SIGKILL what is left of it after the grace."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGTERM)
        end = time.monotonic() + GRACE_S
        while time.monotonic() < end:
            os.killpg(group, 0)
            time.sleep(0.05)
        os.killpg(group, signal.SIGKILL)


def main() -> None:
    """Wait for the launcher's word or its end; only an end without a word ends the group of argv[1]."""
    if not os.read(0, 1):
        end_group(int(sys.argv[1]))


if __name__ == "__main__":
    main()
