"""Columns to numbers: pure functions over what was read."""
