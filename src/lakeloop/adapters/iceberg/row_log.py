"""Pieces of rows in Iceberg tables: looked for before they are appended, named in the snapshot's summary."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from lakeloop.adapters.iceberg.catalog import reachable
from lakeloop.adapters.iceberg.lake import IcebergLake
from lakeloop.adapters.iceberg.rows import schema_at, select, stream
from lakeloop.domain.errors import ConflictError, LakeloopError
from lakeloop.domain.prediction_table import PIECE_COLUMN
from lakeloop.domain.snapshots import TableState, ancestry
from lakeloop.ports.row_log import Between
from lakeloop.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.table import Table

PIECES_PROPERTY = "lakeloop.pieces"
APPEND_ATTEMPTS = 10
MOST_NAMED = 500
"""More pieces of one commit are not named in its snapshot's summary, which stays small: the rows tell them."""
_PROPERTIES = {
    # pyiceberg would otherwise re-append after a conflict, without looking whether the piece came meanwhile.
    "commit.retry.num-retries": "0",
    "commit.manifest-merge.enabled": "true",
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "20",
    "write.metadata.metrics.column._piece_id": "full",
}


class IcebergRowLog:
    """Implements `lakeloop.ports.row_log.RowLog`."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._lake = settings, IcebergLake(settings)

    def append(self, table: str, rows: pa.Table) -> tuple[str, ...]:
        """One commit of the pieces that are new; see the port."""
        import pyarrow as pa
        import pyarrow.compute as pc

        pieces = rows.column(PIECE_COLUMN).unique().to_pylist()

        def commit(loaded: Table, fresh: tuple[str, ...]) -> None:
            kept = rows.filter(pc.is_in(rows.column(PIECE_COLUMN), pa.array(fresh, pa.string())))
            loaded.append(kept, snapshot_properties=_summary(fresh))

        return self._append_once(table, lambda: self.table(table, rows.schema), pieces, commit)

    def append_files(self, table: str, files: Mapping[str, Sequence[Any]]) -> tuple[str, ...]:
        """As `append` for data files that were written already, by piece; those of pieces that are there are removed.

        Args:
            table: the table that they were written for.
            files: piece -> pyiceberg's data files with its rows, perhaps none.
        """

        def commit(loaded: Table, fresh: tuple[str, ...]) -> None:
            transaction = loaded.transaction()
            with transaction.update_snapshot(snapshot_properties=_summary(fresh)).fast_append() as append:
                for file in (file for piece in fresh for file in files[piece]):
                    append.append_data_file(file)
            transaction.commit_transaction()

        new = self._append_once(table, lambda: self._found(table), list(files), commit)
        loaded = self._found(table)
        for file in (file for piece, found in files.items() if piece not in new for file in found):
            loaded.io.delete(file.file_path)
        return new

    def _append_once(
        self,
        table: str,
        load: Callable[[], Table],
        pieces: Sequence[str],
        commit: Callable[[Table, tuple[str, ...]], None],
    ) -> tuple[str, ...]:
        from pyiceberg.exceptions import CommitFailedException

        for _ in range(APPEND_ATTEMPTS):
            loaded = load()
            held = self._held(table, loaded, pieces)
            fresh = tuple(piece for piece in pieces if piece not in held)
            if not fresh:
                return ()
            with reachable(self._settings):
                try:
                    # `loaded` is what was looked at: a commit by anybody else since then refuses this one.
                    commit(loaded, fresh)
                except CommitFailedException:
                    continue
            return fresh
        raise ConflictError(
            f"nothing was appended: {APPEND_ATTEMPTS} times another writer was faster",
            where=table,
            fix="try again",
        )

    def held(self, table: str, pieces: Sequence[str]) -> frozenset[str]:
        """Those of `pieces` that the table holds."""
        loaded = self._lake.find(table)
        return frozenset() if loaded is None else self._held(table, loaded, pieces)

    def rows(
        self, table: str, columns: Sequence[str] | None = None, between: Between | None = None
    ) -> pa.Table | None:
        """Rows now, all of them or of a span of time; None where there is no table."""
        import pyarrow as pa

        loaded = self._lake.find(table)
        current = loaded.current_snapshot() if loaded is not None else None
        if loaded is None or current is None:
            return None
        selected = select(schema_at(loaded, str(current.snapshot_id)), columns, table)
        return pa.Table.from_batches(list(stream(loaded, current.snapshot_id, selected, _filter(between))))

    def _held(self, table: str, loaded: Table, pieces: Sequence[str]) -> frozenset[str]:
        current = loaded.current_snapshot()
        if current is None:
            return frozenset()
        state = self._lake.table_state(table)
        if state is not None and state.current_snapshot_id == str(current.snapshot_id):
            named, whole = _named(state)
            if whole or named.issuperset(pieces):
                return frozenset(named.intersection(pieces))
        snapshot_id = str(current.snapshot_id)
        found = self._lake.read_batches(
            table, snapshot_id, [PIECE_COLUMN], where={PIECE_COLUMN: list(pieces)}
        )
        return frozenset(p for batch in found for p in batch.column(0).unique().to_pylist())

    def _found(self, table: str) -> Table:
        found = self._lake.find(table)
        if found is None:
            raise LakeloopError("there is no such table any more", where=table, fix="run it again")
        return found

    def table(self, table: str, schema: pa.Schema) -> Table:
        """The table by pyiceberg, made with these columns where there is none."""
        from pyiceberg.exceptions import NamespaceAlreadyExistsError, TableAlreadyExistsError

        found = self._lake.find(table)
        if found is not None:
            return found
        catalog, namespace = self._lake.catalog, table.rpartition(".")[0]
        with reachable(self._settings):
            if not catalog.namespace_exists(namespace):
                with suppress(NamespaceAlreadyExistsError):
                    catalog.create_namespace(namespace)
            try:
                return catalog.create_table(table, schema, properties=_PROPERTIES)
            except TableAlreadyExistsError:
                return catalog.load_table(table)


def _summary(pieces: Sequence[str]) -> dict[str, str]:
    return {PIECES_PROPERTY: json.dumps(pieces)} if len(pieces) <= MOST_NAMED else {}


def _filter(between: Between | None) -> Any:
    from pyiceberg.expressions import AlwaysTrue, And, GreaterThanOrEqual, LessThan

    if between is None:
        return AlwaysTrue()
    start, end = (moment.isoformat() for moment in (between.start, between.end))
    return And(GreaterThanOrEqual(between.column, start), LessThan(between.column, end))


def _named(state: TableState) -> tuple[set[str], bool]:
    """Pieces that the retained snapshots name, and whether those are all that the table holds.

    Counted by rows: after an expiry the oldest retained snapshot looks like the first one.
    """
    snapshots = ancestry(state).snapshots
    texts = [s.summary.get(PIECES_PROPERTY) for s in snapshots]
    named = {str(piece) for text in texts if text for piece in json.loads(text)}
    added = sum(int(s.summary.get("added-records", 0)) for s in snapshots if PIECES_PROPERTY in s.summary)
    newest = next((s for s in snapshots if s.snapshot_id == state.current_snapshot_id), None)
    return named, newest is not None and str(added) == newest.summary.get("total-records")
