"""The first screen: the answer in a sentence, a few numbers, and how far to trust them."""

from traceana.render.answer.of_report import answer
from traceana.render.page.section import Section

SECTION = Section(name="headline", view=answer)
