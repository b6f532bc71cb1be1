"""What the page knows of its sections."""

from collections.abc import Callable

import msgspec

from traceana.report import Report


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """One part of the page: what templates/sections/NAME.html.j2 draws under its `title`, which is its link's text too.

    `name` is that of the template, of the module beside it and of the anchor. `view` gives the template its `view`;
    None or nothing in it where the report has nothing to show, which leaves the section and its link out.
    """

    name: str
    title: str = ""
    view: Callable[[Report], object | None]


class View(msgspec.Struct, frozen=True, kw_only=True):
    """Sections that a reader looks at together: with scripts, the page shows one view at a time."""

    name: str
    title: str
    sections: tuple[Section, ...]

    def shown(self, report: Report) -> tuple[tuple[Section, object], ...]:
        """The sections that have something to show, each with it."""
        found = ((section, section.view(report)) for section in self.sections)
        return tuple((section, view) for section, view in found if view)
