"""An independent reading of raw traces: every figure of report.json that has a definition, worked out a second time.

Slow and plain on purpose, and written from the definitions alone; nothing here imports traceana. A figure that no
definition settles (whether calls that name no group belong together) is left out rather than guessed.
"""
