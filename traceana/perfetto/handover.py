"""The page that opens Perfetto's UI from a click and hands the trace over by postMessage.

Chrome asks before a page of the internet may fetch from this machine, and fails without a word where it may not; a
message between two windows needs no such permission. The UI answers "PING" with "PONG" once it can take a trace.
"""

from markupsafe import Markup

from traceana.perfetto.server import Page
from traceana.render.page.environment import asset, environment, hash_source


def launcher(*, ui: str, trace: str, title: str, description: str, offline: bool) -> Page:
    """The page for the trace that is served as `trace`; `ui` is the UI's address, relative for a bundled one."""
    templates = environment()
    style, script = (asset(templates, name) for name in ("handover.css", "handover.js"))
    body = templates.get_template("handover.html.j2").render(
        ui=ui,
        trace=trace,
        title=title,
        description=description,
        offline=offline,
        style=Markup(style),
        script=Markup(script),
    )
    policy = (
        f"default-src 'none'; connect-src 'self'; style-src {hash_source(style)}; script-src {hash_source(script)}; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return Page(body=body.encode(), policy=policy)
