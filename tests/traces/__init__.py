"""Tiny trace files, one defect or oddity each: `cases.py` states them, `make.py` writes them and the README."""
