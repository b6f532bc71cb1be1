"""A window over a block of the program's own code, which it begins and ends as often as it likes."""

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from traceana_capture.agent import presence, rank
from traceana_capture.agent.closing import State
from traceana_capture.agent.control import Control
from traceana_capture.agent.mark import Mark
from traceana_capture.agent.window import Window

# Where the window lasts as long as the block, these are not to end it, nor to begin it.
UNBOUNDED: dict[str, Any] = {
    "duration_s": float("inf"),
    "delay_s": 0.0,
    "ranks": (),
    "all_threads": False,
    "start_on": "",
    "step_on": "",
    "warmup": 0,
    "steps": 0,
}


class Told(Control):
    """The launcher's end of the control socket where there is no launcher: each message is given to `note`."""

    def __init__(self, note: Callable[[bytes], object]) -> None:
        super().__init__("")
        self.note = note

    def send(self, **message: Any) -> None:
        """Give one message with this process's id."""
        self.note(json.dumps({"pid": os.getpid(), **message}).encode())


class Block(Window):
    """Closed until `begin`, whatever else in the program would open a window, and again after its end."""

    def __init__(self, control: Control) -> None:
        super().__init__(dict(UNBOUNDED), control)
        self.introduce = lambda: True
        # What is to be done where the process leaves in the midst of a block.
        self.left: Callable[[], None] = lambda: None
        self.state = State.OVER

    def begin(self, workdir: Path, settings: dict[str, Any]) -> None:
        """Record from here on, into `workdir`; what stands in the way is told, and the window stays closed."""
        self._renew()
        self._in_the_way, self._due = False, 0.0
        self.settings = UNBOUNDED | settings
        self._mark = Mark(str(workdir))
        self.control.send(event="hello", host=socket.gethostname(), versions=presence.versions(), **rank.facts())
        self._become(State.WAITING)
        self.open(lone=True)
        if self._is(State.WAITING):
            reason = "a CUDA graph was being captured" if self.holds else "the program's own profiler was running"
            self.control.send(event="failed", reason=reason)
            self._become(State.OVER)

    def leave(self) -> None:
        """The process ends, perhaps in the block."""
        super().leave()
        self.left()

    def forget(self) -> None:
        """In a forked child: it is not in the block."""
        super().forget()
        self.left = lambda: None
        self._become(State.OVER)


def prepared(note: Callable[[bytes], object]) -> Block:
    """A block's window, whose messages are given to `note`, and all that notes the program's calls; once a process."""
    import torch
    import torch.distributed as dist

    from traceana_capture.agent import adapters, c10d, direct, exits, gives_way, group_names
    from traceana_capture.agent.call_notes import CALLS
    from traceana_capture.agent.triggers import Triggers

    # A block says nothing unless something is wrong, and Kineto a line for each session.
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    block = Block(Told(note))
    triggers = Triggers(block.settings, block, adapters.has_requests)
    exits.close_before_exit(dist, block)
    gives_way.give_way(torch, block)
    gives_way.hold_during_graphs(torch, block)
    os.register_at_fork(after_in_child=block.forget)
    c10d.watch_c10d()
    direct.watch_symmetric_memory()
    group_names.watch_meshes()
    adapters.watch_imports(triggers, "asis")
    CALLS.before = block.collective
    return block
