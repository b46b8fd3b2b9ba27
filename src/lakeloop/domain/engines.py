"""Which engine does a piece of work: decided from what is known before anything starts. Pure."""

from __future__ import annotations

from typing import Literal

from lakeloop.domain.base import Frozen

Engine = Literal["auto", "spark", "local"]

BYTES_A_CELL = 48
"""Of a row's column while it is landed or made into features in one process: read, computed, sorted, written. Measured:
44 at 5 million rows of 17 columns."""
SHARE_OF_MEMORY = 1 / 3
ROWS_WHERE_MEMORY_IS_UNKNOWN = 2_000_000


class EngineChoice(Frozen):
    """The engine, and why in a few words."""

    engine: Literal["spark", "local"]
    reason: str

    @property
    def told(self) -> str:
        """Where, and why."""
        return f"{'in this process' if self.engine == 'local' else 'by Spark'}: {self.reason}"


def rows_in_memory(available_bytes: int | None, columns: int) -> int:
    """So many rows fit into a third of the free memory.

    Args:
        available_bytes: free; None where that is not known.
        columns: of a row.
    """
    if available_bytes is None:
        return ROWS_WHERE_MEMORY_IS_UNKNOWN
    return int(available_bytes * SHARE_OF_MEMORY / (BYTES_A_CELL * max(1, columns)))


def choose_engine(
    declared: Engine, wanted: Engine, spark_master: str, rows: int | None, most_rows: int
) -> EngineChoice:
    """Where the work is done.

    Args:
        declared: by the use case.
        wanted: by whoever runs it (`LAKELOOP_ENGINE`); `auto` leaves it to the use case.
        spark_master: on a cluster Spark is the default, whatever the size: its executors are why one has a cluster.
        rows: to be read, all of them; None where nobody knows.
        most_rows: up to so many, this process does it.
    """
    named = wanted if wanted != "auto" else declared
    if named != "auto":
        by = "LAKELOOP_ENGINE" if wanted != "auto" else "the use case's engine"
        return EngineChoice(engine="spark" if named == "spark" else "local", reason=f"{by} says so")
    if not spark_master.startswith("local"):
        return EngineChoice(engine="spark", reason="the default on a cluster")
    if rows is None:
        return EngineChoice(engine="spark", reason="how many rows there are is not known before")
    if rows > most_rows:
        return EngineChoice(engine="spark", reason=f"{rows} rows are more than {most_rows}")
    return EngineChoice(engine="local", reason=f"{rows} rows are at most {most_rows}")
