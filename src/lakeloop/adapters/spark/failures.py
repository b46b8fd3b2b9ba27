"""What a failing Spark job raises in Python."""

from __future__ import annotations


def spark_failures() -> tuple[type[Exception], ...]:
    """For an `except` clause: failures of Spark, and of Java called directly."""
    from py4j.protocol import Py4JJavaError  # type: ignore[import-untyped]
    from pyspark.errors import PySparkException

    return (PySparkException, Py4JJavaError)


def java_class(error: Exception) -> str:
    """Name of the Java exception behind an error; empty where there is none.

    pyspark converts what it knows (IllegalArgumentException and its own) also in direct calls, and keeps the origin.
    """
    java = getattr(error, "java_exception", None) or getattr(error, "_origin", None)
    return str(java.getClass().getName()) if java is not None else ""


def first_line(error: Exception) -> str:
    """What a failure says, without the stack."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
