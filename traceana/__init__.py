"""Reads and compares the communication of multi-GPU PyTorch programs."""

__version__ = "0.1.0"
