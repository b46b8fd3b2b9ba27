"""The ledger as an Iceberg table: one append, one snapshot, one event."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from lakeloop.adapters.iceberg.catalog import reachable
from lakeloop.adapters.iceberg.lake import IcebergLake
from lakeloop.domain.base import canonical_json
from lakeloop.domain.errors import ConflictError, LakeloopError
from lakeloop.domain.ledger import LedgerEvent
from lakeloop.domain.snapshots import TableState, ancestry
from lakeloop.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.table import Table

LEDGER_TABLE = "lakeloop.ledger"
EVENT_PROPERTY = "lakeloop.event"

_PROPERTIES = {
    # pyiceberg would otherwise re-append after a conflict, on top of an event that this one never saw.
    "commit.retry.num-retries": "0",
    # expire_snapshots refuses a table with this: the ledger's history is the ledger.
    "gc.enabled": "false",
    "commit.manifest-merge.enabled": "true",
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "20",
}


class IcebergLedger:
    """Implements `lakeloop.ports.ledger.Ledger`.

    The table has one flat row an event, for anybody's SQL. Each snapshot's summary repeats its event without
    the document, in the same commit: who asks for the watermark reads metadata only.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lake = IcebergLake(settings)

    def head(self) -> str | None:
        """The ledger's current snapshot id, None for an empty ledger."""
        state = self._lake.table_state(LEDGER_TABLE)
        return state.current_snapshot_id if state else None

    def events(self, use_case: str, *, documents: bool = True) -> list[LedgerEvent]:
        """The use case's events in ledger order; without their documents it takes no data file.

        Raises:
            LakeloopError: the catalog does not answer, or the table is not a ledger.
        """
        state = self._lake.table_state(LEDGER_TABLE)
        if state is None or state.current_snapshot_id is None:
            return []
        known = None if documents else _from_metadata(state)
        everyone = known if known is not None else list(self._from_rows(state.current_snapshot_id))
        return [e for e in everyone if e.use_case == use_case]

    def append(self, event: LedgerEvent, expected_head: str | None) -> str:
        """Append unless `event.event_id` is there already; the new head.

        Raises:
            ConflictError: somebody appended since `expected_head` was read.
            LakeloopError: the catalog does not answer; whether the event was recorded shows the next look.
        """
        state = self._lake.table_state(LEDGER_TABLE)
        head = state.current_snapshot_id if state else None
        if state is not None and head is not None and self._has(state, head, event.event_id):
            return head
        if head != expected_head:
            raise _conflict(expected_head, head)
        return self._commit(self._table(), event, expected_head)

    def _has(self, state: TableState, head: str, event_id: str) -> bool:
        known = _from_metadata(state)
        return any(e.event_id == event_id for e in (known if known is not None else self._from_rows(head)))

    def _from_rows(self, head: str) -> Iterator[LedgerEvent]:
        rows = [r for batch in self._lake.read_batches(LEDGER_TABLE, head) for r in batch.to_pylist()]
        return (_event(row) for row in sorted(rows, key=lambda r: r["position"]))

    def _table(self) -> Table:
        from pyiceberg.exceptions import TableAlreadyExistsError

        found = self._lake.find(LEDGER_TABLE)
        if found is not None:
            return self._with_all_columns(found)
        with reachable(self._settings):
            self._create_namespace()
            try:
                return self._lake.catalog.create_table(LEDGER_TABLE, _schema(), properties=_PROPERTIES)
            except TableAlreadyExistsError:
                return self._lake.catalog.load_table(LEDGER_TABLE)

    def _with_all_columns(self, table: Table) -> Table:
        """A ledger of an earlier version gets the columns that it lacks."""
        from pyiceberg.exceptions import CommitFailedException

        known = {field.name for field in table.schema().fields}
        if known.issuperset(_schema().names):
            return table
        with reachable(self._settings):
            try:
                with table.update_schema() as update:
                    update.union_by_name(_schema())
            except CommitFailedException as error:
                raise _conflict("the one with all columns", "another") from error
        return table

    def _create_namespace(self) -> None:
        namespace = LEDGER_TABLE.partition(".")[0]
        try:
            self._lake.catalog.create_namespace_if_not_exists(namespace)
        except Exception:
            # Another first user was faster, between pyiceberg's look and its insert.
            if not self._lake.catalog.namespace_exists(namespace):
                raise

    def _commit(self, table: Table, event: LedgerEvent, expected_head: str | None) -> str:
        from pyiceberg.exceptions import CommitFailedException

        current = table.current_snapshot()
        head = str(current.snapshot_id) if current else None
        if head != expected_head:
            raise _conflict(expected_head, head)
        position = int(current.summary["total-records"] or 0) if current and current.summary else 0
        summary = {EVENT_PROPERTY: canonical_json(event.model_dump(mode="json", exclude={"document"}))}
        with reachable(self._settings):
            try:
                table.append(_row(event, position), snapshot_properties=summary)
            except CommitFailedException as error:
                raise _conflict(expected_head, "another") from error
        appended = table.current_snapshot()
        if appended is None:
            raise LakeloopError("the ledger is empty after an append", where=LEDGER_TABLE)
        return str(appended.snapshot_id)


def _conflict(expected: str | None, found: str | None) -> ConflictError:
    return ConflictError(
        f"the ledger's head is {found or 'empty'}, not {expected or 'empty'}: somebody appended first",
        where=LEDGER_TABLE,
        fix="read the ledger again and decide anew",
    )


def _from_metadata(state: TableState) -> list[LedgerEvent] | None:
    """All events, oldest first; None where some snapshot does not carry its event."""
    history = ancestry(state)
    if history.end != "root":
        return None
    appends = [s for s in history.snapshots if s.operation != "replace"]
    texts = [s.summary.get(EVENT_PROPERTY) for s in reversed(appends)]
    try:
        return (
            [LedgerEvent.model_validate_json(text) for text in texts if text is not None]
            if all(texts)
            else None
        )
    except ValidationError:
        return None


def _schema() -> pa.Schema:
    import pyarrow as pa

    text = [
        "event_id",
        "use_case",
        "kind",
        "by",
        "reason",
        "pipeline_run_id",
        "run_key",
        "table_name",
        "table_uuid",
        "from_snapshot_id",
        "to_snapshot_id",
        "columns",
        "model_version",
        "mlflow_run_id",
        "document",
    ]
    head = [("position", pa.int64()), ("at", pa.timestamp("us", "UTC")), ("schema_id", pa.int64())]
    tail = [("lease_until_ms", pa.int64())]
    return pa.schema([*head, *((name, pa.string()) for name in text), *tail])


def _row(event: LedgerEvent, position: int) -> pa.Table:
    import pyarrow as pa

    value: dict[str, Any] = event.model_dump(mode="json")
    range_ = value.pop("range") or {}
    value["table_name"] = range_.pop("table", None)
    at = dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(milliseconds=value.pop("at_ms"))
    columns = json.dumps(value.pop("columns"))
    return pa.Table.from_pylist(
        [{**value, **range_, "position": position, "at": at, "columns": columns}], schema=_schema()
    )


def _event(row: dict[str, Any]) -> LedgerEvent:
    range_names = ("table_uuid", "from_snapshot_id", "to_snapshot_id")
    range_ = {name: row.pop(name) for name in range_names} | {"table": row.pop("table_name")}
    since_epoch = row.pop("at") - dt.datetime.fromtimestamp(0, dt.UTC)
    row.pop("position")
    try:
        return LedgerEvent.model_validate(
            {
                **row,
                "columns": json.loads(row["columns"]),
                "range": range_ if range_["table_uuid"] else None,
                "at_ms": since_epoch // dt.timedelta(milliseconds=1),
            }
        )
    except (ValidationError, ValueError) as error:
        raise LakeloopError(
            f"an event cannot be read: {error}", where=LEDGER_TABLE, fix="see who else writes to this table"
        ) from error
