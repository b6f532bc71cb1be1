"""`traceana demo`: a small workload, captured here and now."""
