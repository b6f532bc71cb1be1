"""All terms of the page in full."""

from traceana.render.page.section import Section
from traceana.render.page.terms import TERMS, Definition
from traceana.report import Report


def glossary(_report: Report) -> dict[str, Definition]:
    """Every term by its key, whatever the report holds."""
    return TERMS


SECTION = Section(name="glossary", title="Glossary", view=glossary)
