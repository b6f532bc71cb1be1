"""The report's Jinja2 templates, style and script, installed as traceana.templates."""
