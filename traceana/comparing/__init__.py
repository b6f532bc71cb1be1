"""Comparing sides, each of one or more runs: statistics, verdicts, what a difference is worth."""
