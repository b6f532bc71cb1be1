"""What the page knows of its sections."""

from collections.abc import Callable
from dataclasses import dataclass

from traceana.report import Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One part of the page: what templates/sections/NAME.html.j2 draws, and its `link` in the bar, if it has one.

    `name` is that of the template, of the module beside it and of the anchor. `view` gives the template its `view`;
    None or nothing in it where the report has nothing to show, which leaves the section and its link out.
    """

    name: str
    link: str | None = None
    view: Callable[[Report], object | None]
