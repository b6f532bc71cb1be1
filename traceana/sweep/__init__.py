"""`traceana sweep` and `traceana tune`: one command under many settings, measured in random turns, ranked."""
