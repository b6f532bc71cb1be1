"""Tests of whole commands, seen from outside."""
