"""How templates are filled: everything escaped, numbers written as the whole page writes them."""

import base64
import functools
import hashlib

from jinja2 import Environment, PackageLoader, StrictUndefined

from traceana import units
from traceana.render.page import quotient
from traceana.render.page.activities import ACTIVITIES
from traceana.render.page.compiled import compiled_templates
from traceana.render.page.marks import shorten
from traceana.render.page.rest import packed
from traceana.render.page.terms import TERMS


@functools.cache
def environment() -> Environment:
    """Templates with everything escaped, and how they write numbers; one a process, as templates compile slowly."""
    environment = Environment(
        loader=PackageLoader("traceana.templates", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        bytecode_cache=compiled_templates(),
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
        "shorten": shorten,
        "packed": packed,
    }
    environment.globals |= {
        "percent": units.percent,
        "plural": units.plural,
        "ratio_range": units.ratio_range,
        "worth_cell": _worth_cell,
        "size_range": units.size_range,
        "unknown": units.UNKNOWN,
        "quotient_definition": quotient.definition,
        "terms": TERMS,
        "activities": ACTIVITIES,
    }
    return environment


def asset(environment: Environment, name: str) -> str:
    """A style or script as it is."""
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


def hash_source(text: str) -> str:
    """What a content policy admits this text by."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def policy(style: str, script: str) -> str:
    """A content policy that admits this style and this script alone."""
    sources = f"style-src {hash_source(style)}; script-src {hash_source(script)}"
    return f"default-src 'none'; {sources}; base-uri 'none'; form-action 'none'"


def _place(percent: float) -> str:
    """A place along a chart as an SVG length; a hundredth of a percent is finer than a pixel."""
    return f"{percent:.2f}".rstrip("0").rstrip(".") + "%"


def _plain(value: float | None) -> str:
    """A number for scripts and spreadsheets, empty where it is not known."""
    if value is None:
        return ""
    return str(round(value)) if isinstance(value, int) or abs(value) >= 1000 else f"{value:.6g}"


def _worth_cell(worth_ns: int | None) -> str:
    """Time saved or lost, in the table of a comparison."""
    if worth_ns is None:
        return "not known"
    if not worth_ns:
        return "nothing"
    return f"{units.duration(abs(worth_ns))} {'saved' if worth_ns > 0 else 'lost'}"
