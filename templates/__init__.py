"""Templates of the report, loaded by `traceana.render.html`; importable so that they install with the package."""
