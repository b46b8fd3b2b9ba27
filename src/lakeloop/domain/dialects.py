"""How two engines spell the same SQL: names, text literals and what they call differently. Pure.

Spark reads backticks and unescapes backslashes; DuckDB follows the standard. Everything else that lakeloop writes is
read alike by both, or is a method here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

MICROSECONDS_A_DAY = 86_400_000_000


@dataclass(frozen=True)
class Dialect:
    """One engine's SQL."""

    name: Literal["spark", "duckdb"]

    def quoted(self, column: str) -> str:
        """A column's name."""
        mark = "`" if self.name == "spark" else '"'
        return mark + column.replace(mark, mark * 2) + mark

    def text(self, value: str) -> str:
        """A string literal."""
        if self.name == "spark":
            return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
        return "'" + value.replace("'", "''") + "'"

    def row_of(self, columns: list[str]) -> str:
        """Several values as one, e.g. to count distinct ones; never null itself."""
        return f"{'struct' if self.name == 'spark' else 'row'}({', '.join(columns)})"

    def days_between(self, start: str, end: str) -> str:
        """Whole days from one DATE to another."""
        return f"datediff({end}, {start})" if self.name == "spark" else f"date_diff('day', {start}, {end})"

    def microseconds(self, column: str, column_type: str) -> str:
        """A date or timestamp as microseconds since 1970, in UTC; BIGINT."""
        if self.name == "duckdb":
            return f"epoch_us({column})"
        if column_type == "date":
            return f"(unix_date({column}) * {MICROSECONDS_A_DAY}L)"
        return f"unix_micros(CAST({column} AS TIMESTAMP))"

    def failing(self, message: str) -> str:
        """An expression that stops the query with this message."""
        return f"{'raise_error' if self.name == 'spark' else 'error'}({self.text(message)})"


SPARK = Dialect("spark")
DUCKDB = Dialect("duckdb")
