"""Synthetic rows: pure functions of (use case, batch number, row numbers, plants)."""
