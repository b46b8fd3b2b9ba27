"""As-of features of any rows, in this process: the history is read once and kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from lakeloop.adapters.duckdb.feature_rows import past_values
from lakeloop.adapters.in_process.entities import among, named
from lakeloop.domain.errors import UserError
from lakeloop.domain.past_columns import PastColumns

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class InProcessPast:
    """Implements `lakeloop.ports.past_of_rows.PastOfRows`; can be sent to another process, which reads for itself.

    Args:
        name: of the use case's table.
        columns: that the rows must have.
        past: of the feature table, in DuckDB's SQL.
        files: of the history, as `Lake.read_files` gives them.
    """

    name: str
    columns: list[str]
    past: tuple[PastColumns, ...]
    files: tuple[Callable[[], Iterator[pa.RecordBatch]], ...]

    @cached_property
    def _history(self) -> pa.Table | None:
        import pyarrow as pa

        batches = [batch for read in self.files for batch in read()]
        return pa.Table.from_batches(batches) if batches else None

    def beside(self, rows: pa.Table) -> pa.Table:
        """The rows with their as-of features."""
        missing = [c for c in self.columns if c not in rows.column_names]
        if missing:
            raise UserError(
                f"no column {', '.join(missing)}, which says whose past it is",
                where="the rows that are scored",
                fix=f"give them the columns of {self.name}",
            )
        values = past_values(rows, self._of_same_entities(rows), self.past)
        for name, column in values.items():
            rows = rows.append_column(name, column)
        return rows

    def _of_same_entities(self, rows: pa.Table) -> pa.Table:
        """Of one kind of entity only the history of those who are asked for."""
        history, first = self._history, {past.source_entity[0] for past in self.past}
        if history is None:
            return rows.slice(0, 0)
        if len(first) != 1:
            return history
        name = first.pop()
        asked = named(rows.column(name).unique().cast(history.schema.field(name).type))
        return history.filter(among(named(history.column(name)), asked.drop_null()))
