"""`python -m traceana`."""

from traceana.cli import main

main()
