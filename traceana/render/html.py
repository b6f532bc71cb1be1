"""The HTML report: one file that loads nothing, opens at once and works without scripts.

Names in a trace are untrusted. Templates escape everything, and the page's content policy admits only the style and
the script whose hashes it carries, so a name that slipped through still could not run.
"""

from markupsafe import Markup

from traceana.render.page.environment import asset, environment, policy
from traceana.render.page.marks import baseline_first, marked_runs, side_marks
from traceana.render.page.section import View
from traceana.render.sections import (
    all_calls,
    axes,
    beside_bench,
    breakdown,
    causes,
    comparison,
    glossary,
    headline,
    hta,
    late,
    layers,
    operations,
    paired,
    perf,
    setup,
    sites,
    sizes,
    spans,
    steps,
    timeline,
    uneven,
    unknowns,
    waits,
    what_if,
)
from traceana.report import Report

VIEWS = (
    View(name="compare", title="Compare", sections=(comparison.SECTION, steps.SECTION, paired.SECTION)),
    View(
        name="ranks",
        title="Ranks",
        sections=(breakdown.SECTION, causes.SECTION, late.SECTION, what_if.SECTION, waits.SECTION),
    ),
    View(
        name="calls",
        title="Operations",
        sections=(
            operations.SECTION,
            sizes.SECTION,
            uneven.SECTION,
            axes.SECTION,
            layers.SECTION,
            sites.SECTION,
            beside_bench.SECTION,
            all_calls.SECTION,
        ),
    ),
    View(name="time", title="Timeline", sections=(timeline.SECTION, spans.SECTION, perf.SECTION)),
    View(name="setup", title="Setup", sections=(setup.SECTION, unknowns.SECTION, hta.SECTION, glossary.SECTION)),
)
"""In the order of the page, below the first screen."""


def render(report: Report) -> str:
    """The whole report as one HTML document."""
    report = baseline_first(report)
    templates = environment()
    style, script = (asset(templates, name) for name in ("report.css", "report.js"))
    views = [(view, view.shown(report)) for view in VIEWS]
    return templates.get_template("report.html.j2").render(
        report=report,
        style=Markup(style),
        script=Markup(script),
        policy=policy(style, script),
        runs=marked_runs(report),
        sides=side_marks(report),
        first=(headline.SECTION, headline.SECTION.view(report)),
        views=[(view, sections) for view, sections in views if sections],
    )
