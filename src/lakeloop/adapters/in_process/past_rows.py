"""As-of features of any rows, in this process: the history is read once and kept."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from lakeloop.adapters.duckdb.feature_rows import past_values
from lakeloop.domain.errors import UserError
from lakeloop.domain.feature_table import FeatureTable, seen_columns
from lakeloop.domain.use_case import UseCase
from lakeloop.ports.lake import Lake

if TYPE_CHECKING:
    import pyarrow as pa


class InProcessPast:
    """Implements `lakeloop.ports.past_of_rows.PastOfRows`."""

    def __init__(self, lake: Lake, use_case: UseCase, table: FeatureTable, snapshot_id: str) -> None:
        """Over the use case's table at a snapshot.

        Args:
            lake: reads it.
            use_case: declares the features.
            table: of the use case, in DuckDB's SQL.
            snapshot_id: all rows that are there are history.
        """
        self._lake, self._use_case, self._table, self._snapshot_id = lake, use_case, table, snapshot_id

    @cached_property
    def columns(self) -> list[str]:
        """Columns that the rows must have."""
        state = self._lake.table_state(self._use_case.table.name)
        return seen_columns(self._use_case, {c.name: c.type for c in state.columns} if state else {})

    @cached_property
    def _history(self) -> pa.Table:
        import pyarrow as pa

        name = self._use_case.table.name
        return pa.Table.from_batches(self._lake.read_batches(name, self._snapshot_id, self.columns))

    def beside(self, rows: pa.Table) -> pa.Table:
        """The rows with their as-of features."""
        missing = [c for c in self.columns if c not in rows.column_names]
        if missing:
            raise UserError(
                f"no column {', '.join(missing)}, which says whose past it is",
                where="the rows that are scored",
                fix=f"give them the columns of {self._use_case.table.name}",
            )
        values = past_values(rows, self._of_same_entities(rows), self._table.past)
        for name, column in values.items():
            rows = rows.append_column(name, column)
        return rows

    def _of_same_entities(self, rows: pa.Table) -> pa.Table:
        """Of one kind of entity only the history of those who are asked for."""
        import pyarrow.compute as pc

        first = {past.source_entity[0] for past in self._table.past}
        if len(first) != 1:
            return self._history
        name = first.pop()
        asked = rows.column(name).unique().cast(self._history.schema.field(name).type)
        return self._history.filter(pc.is_in(self._history.column(name), asked.drop_null()))
