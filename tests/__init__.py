"""Tests, the material that they judge by, and the benchmark."""
