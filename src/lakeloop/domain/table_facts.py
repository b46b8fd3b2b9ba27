"""What looking at a table tells, before anything is declared about it."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field

from lakeloop.domain.base import Frozen
from lakeloop.domain.use_case import ColumnType

NUMERIC: frozenset[str] = frozenset({"int", "long", "float", "double"})
TIME_NAMES = re.compile(r"time|date|_at$|^ts$|^at$|when|epoch|[ _]at$", re.IGNORECASE)


class ColumnFacts(Frozen):
    """One column, over the rows that were looked at."""

    name: str
    type: ColumnType | None = Field(description="None: nested, or another type that a feature cannot be.")
    nulls: int = 0
    distinct: int = 0
    min: float | None = Field(default=None, description="Numeric columns only, as max.")
    max: float | None = None
    values: dict[str, int] = Field(
        default_factory=dict, description="Value -> rows, where there are few values."
    )
    remark: str = ""
    time_format: str = Field(default="", description="Files: how moments are written; empty: as ISO 8601.")


class TableFacts(Frozen):
    """A table or a set of files; `rows` is how many were looked at."""

    source: str
    kind: Literal["csv", "parquet", "json", "table"]
    rows: int
    columns: tuple[ColumnFacts, ...]
    unique: tuple[tuple[str, ...], ...] = Field(
        default=(), description="Column sets found unique, best first."
    )
    csv_delimiter: str = ","

    def column(self, name: str) -> ColumnFacts | None:
        """A column by its exact name."""
        return next((column for column in self.columns if column.name == name), None)
