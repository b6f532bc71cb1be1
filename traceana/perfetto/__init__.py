"""Traces for Perfetto: all ranks in one file, and a page on this machine that hands a trace over to its UI."""
