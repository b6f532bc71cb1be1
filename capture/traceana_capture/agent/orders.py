"""What the launcher asks of this rank: where it stands, to open the next window there, to close one, to export."""

from typing import Any

from traceana_capture.agent.control import Control
from traceana_capture.agent.triggers import Place, Triggers


class Orders:
    """Carries them out, on the thread that listens to the launcher."""

    def __init__(self, triggers: Triggers, control: Control) -> None:
        self.triggers = triggers
        self.window = triggers.window
        self.control = control

    def take(self, order: dict[str, Any]) -> None:
        """Do what the launcher asks for; an order that is not known is one of a later version."""
        what = order["do"]
        if what == "place":
            self.control.send(event="place", place=self.triggers.place())
        elif what == "open":
            self.triggers.order(int(order["window"]), Place(*order["place"]), order["bounds"])
        elif what == "close":
            self.window.cancel()
            self.window.close("traceana window close asked for it")
        elif what == "flush":
            self.window.close("the launcher asked for it")
        elif what == "end":
            self.window.close("the launcher is gone")
            self.window.retire()
