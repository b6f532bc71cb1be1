"""A section is one module and one template of one name, and one entry in one list."""

from pathlib import Path

from markupsafe import escape

import traceana.render.sections
from tests import report_variants, reports
from tests.page import Page
from traceana.render.html import VIEWS, render
from traceana.render.page.environment import environment

SECTIONS = [section for view in VIEWS for section in view.sections]
NAMES = {section.name for section in SECTIONS}


def test_every_section_has_its_module_and_its_template() -> None:
    [modules] = traceana.render.sections.__path__
    templates = environment().list_templates(filter_func=lambda name: name.startswith("sections/"))
    assert {path.stem for path in Path(modules).glob("*.py")} - {"__init__"} == NAMES | {"headline"}
    assert set(templates) - {"sections/__init__.py"} == {f"sections/{name}.html.j2" for name in NAMES | {"headline"}}
    assert len(SECTIONS) == len(NAMES)


def test_every_link_in_the_bar_leads_to_a_section() -> None:
    page = Page(render(reports.two_runs()))
    shown = NAMES & set(page.ids)
    assert {link.removeprefix("#") for link in page.links} >= shown
    assert shown >= {"comparison", "breakdown", "operations", "setup", "unknowns", "glossary"}


def test_a_section_with_nothing_to_show_is_left_out_with_its_link() -> None:
    page = Page(render(report_variants.without_calls()))
    assert not {"comparison", "ranking", "paired", "timeline", "hta"} & set(page.ids)
    assert not {"#comparison", "#ranking", "#paired", "#timeline", "#hta"} & set(page.links)


def test_a_link_s_text_is_the_heading_that_it_leads_to() -> None:
    html = render(reports.two_runs())
    for section in SECTIONS:
        if f'id="{section.name}"' in html:
            title = str(escape(section.title))
            assert f'<a href="#{section.name}">{title}</a>' in html
            assert f"<h2>{title}</h2>" in html
