"""Runs on an H200, of which two are installed as `traceana.recorded`."""
