"""What runs in every process of the command that imports torch: torch's `torch.backends` entry point calls `start`."""

import json
import os
import sys
from typing import Any

VARIABLE = "TRACEANA_CAPTURE"
_started = False
recorded = False
"""Whether this process is a launcher's to record."""


def start() -> None:
    """Prepare this process; does nothing without the variable, the second time, or where its launcher is gone.

    Never raises into the program.
    """
    global _started, recorded
    if _started or VARIABLE not in os.environ:
        return
    _started = True
    try:
        settings = json.loads(os.environ[VARIABLE])
        recorded = _launcher_answers(settings["socket"])
        if recorded:
            _prepare(settings)
    except Exception as error:
        sys.stderr.write(f"traceana: process {os.getpid()} will not be recorded: {error!r}\n")


def _launcher_answers(path: str) -> bool:
    """Daemons, containers and other hosts inherit the variable too, and are nobody's to record."""
    import torch

    from traceana_capture.agent.control import connected

    connection = connected(path)
    if connection is None:
        return False
    with connection:
        said = {"event": "torch", "pid": os.getpid(), "version": str(torch.__version__)}
        connection.sendall(json.dumps(said).encode() + b"\n")
    return True


def _prepare(settings: dict[str, Any]) -> None:
    import torch
    import torch.distributed as dist

    from traceana_capture.agent import adapters, c10d, direct, exits, gives_way, group_names, kills, presence, sigterm
    from traceana_capture.agent.call_notes import CALLS
    from traceana_capture.agent.control import Control
    from traceana_capture.agent.orders import Orders
    from traceana_capture.agent.paired import PAIRS
    from traceana_capture.agent.triggers import Triggers
    from traceana_capture.agent.window import Window

    if not dist.is_available():
        return
    control = Control(settings["socket"])
    window = Window(settings, control)
    triggers = Triggers(settings, window, adapters.has_requests)

    # What closes a window comes before what opens one, lest a failure in between leave a window that nothing closes.
    exits.close_before_exit(dist, window)
    gives_way.give_way(torch, window)
    gives_way.hold_during_graphs(torch, window)
    kills.hold_back(settings["workdir"])
    for forget in (sigterm.forget, window.forget, control.forget):
        os.register_at_fork(after_in_child=forget)
    c10d.watch_c10d()
    direct.watch_symmetric_memory()
    group_names.watch_meshes()
    presence.say_hello_after_init(control, window, Orders(triggers, control).take)
    PAIRS.choose(settings["paired"])
    PAIRS.held = window.held
    adapters.watch_imports(triggers, settings["backend"])
    CALLS.before = triggers.collective
    triggers.listen()
    os.register_at_fork(after_in_child=triggers.listen)
