"""Measures collectives on purpose: by operation, size and backend, with checked results and intervals."""
