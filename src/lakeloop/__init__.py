"""Continuous training for lakehouse tables."""

__version__ = "0.1.0"
