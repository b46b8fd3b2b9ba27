"""Batches landed and features computed in this process: pyiceberg, Arrow and DuckDB, no JVM."""
