"""The HTML report: one file that loads nothing, opens at once and works without scripts.

Names in a trace are untrusted. Templates escape everything, and the page's content policy admits only the style and
the script whose hashes it carries, so a name that slipped through still could not run.
"""

import base64
import hashlib

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from traceana import units
from traceana.render.page import runs
from traceana.render.page.glossary import GLOSSARY
from traceana.render.sections import (
    breakdown,
    comparison,
    headline,
    operations,
    paired,
    perf,
    ranking,
    setup,
    sites,
    sizes,
    spans,
    strips,
    timeline,
    unknowns,
    waits,
)
from traceana.report import Report


def render(report: Report) -> str:
    """The whole report as one HTML document."""
    report = runs.baseline_first(report)
    templates = environment()
    style, script = (asset(templates, name) for name in ("report.css", "report.js"))
    return templates.get_template("report.html.j2").render(
        report=report,
        style=Markup(style),
        script=Markup(script),
        policy=_policy(style, script),
        glossary=GLOSSARY,
        headline=headline.headline(report),
        runs=runs.marked_runs(report),
        sides=tuple(runs.side_marks(report).values()),
        setup=setup.setup_table(report),
        gaps=unknowns.gaps(report),
        ranking=ranking.ranking(report),
        paired=paired.paired_rows(report),
        perf=perf.perf_tables(report),
        strips=strips.strips(report),
        sites=sites.site_table(report),
        comparisons=comparison.comparison_tables(report),
        breakdown=breakdown.breakdown(report),
        kinds=breakdown.KINDS,
        time_by_op=operations.time_by_op(report),
        spreads=operations.spreads(report),
        operation_rows=operations.operation_rows(report),
        ranges=sizes.ranges(report),
        bandwidth_charts=sizes.bandwidth_charts(report),
        bucket_rows=sizes.bucket_rows(report),
        waits=waits.waits(report),
        timelines=timeline.timelines(report),
        step_charts=spans.step_charts(report),
        span_rows=spans.span_rows(report),
    )


def environment() -> Environment:
    """Templates with everything escaped, and how they write numbers."""
    environment = Environment(
        loader=PackageLoader("traceana.templates", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "duration": units.duration,
        "size": units.size,
        "bandwidth": units.bandwidth,
        "ratio": units.ratio,
        "number": units.count,
        "plain": _plain,
        "number_ranges": units.number_ranges,
        "place": _place,
        "shorten": runs.shorten,
    }
    environment.globals |= {
        "percent": units.percent,
        "plural": units.plural,
        "ratio_range": units.ratio_range,
        "worth_cell": _worth_cell,
        "size_range": units.size_range,
        "unknown": units.UNKNOWN,
        "cells": timeline.CELLS,
    }
    return environment


def asset(environment: Environment, name: str) -> str:
    """A style or script as it is."""
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


def _policy(style: str, script: str) -> str:
    sources = f"style-src {hash_source(style)}; script-src {hash_source(script)}"
    return f"default-src 'none'; {sources}; base-uri 'none'; form-action 'none'"


def hash_source(text: str) -> str:
    """What a content policy admits this text by."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _place(percent: float) -> str:
    """A place along a chart as an SVG length; a hundredth of a percent is finer than a pixel."""
    return f"{percent:.2f}".rstrip("0").rstrip(".") + "%"


def _plain(value: float | None) -> str:
    """A number for scripts and spreadsheets, empty where it is not known."""
    if value is None:
        return ""
    return str(round(value)) if isinstance(value, int) or abs(value) >= 1000 else f"{value:.6g}"


def _worth_cell(worth_ns: int) -> str:
    """Time saved or lost, in the table of a comparison."""
    if not worth_ns:
        return "nothing"
    return f"{units.duration(abs(worth_ns))} {'saved' if worth_ns > 0 else 'lost'}"
