"""Table metadata files (Iceberg spec, "Table Metadata and Snapshots") as `TableState` values."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lakeloop.domain.base import canonical_json
from lakeloop.domain.errors import LakeloopError
from lakeloop.domain.snapshots import Column, Move, Operation, Ref, Snapshot, TableState

_OPERATIONS: dict[str | None, Operation] = {
    "append": "append",
    "replace": "replace",
    "overwrite": "overwrite",
    "delete": "delete",
}


def local_path(location: str) -> Path | None:
    """The path of a `file:` URI or a plain path; None for any other scheme.

    Like Hadoop's Path and pyiceberg's PyArrowFileIO, and unlike RFC 8089, it does not decode percent signs.
    """
    uri = urlsplit(location)
    if uri.scheme not in {"", "file"}:
        return None
    return Path(location.removeprefix("file://").removeprefix("file:"))


def read_metadata_file(path: Path) -> dict[str, Any]:
    """The JSON of a local metadata file, gzip-compressed or not.

    Raises:
        LakeloopError: it is missing or broken.
    """
    try:
        content = path.read_bytes()
        if path.name.endswith((".gz.metadata.json", ".metadata.json.gz")):
            content = gzip.decompress(content)
        value: dict[str, Any] = json.loads(content)
    except (OSError, EOFError, ValueError) as error:
        raise LakeloopError(
            f"the table's metadata cannot be read: {error}",
            where=str(path),
            fix="restore the file, or drop the table from the catalog",
        ) from error
    return value


def table_state(name: str, metadata: dict[str, Any]) -> TableState:
    """Values of a metadata document of format version 1, 2 or 3; ids become strings.

    Raises:
        LakeloopError: the document lacks what the spec requires.
    """
    try:
        return _table_state(name, metadata)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise LakeloopError(
            f"the table's metadata is not what the Iceberg spec asks for: {type(error).__name__}: {error}",
            where=name,
            fix="see which writer made it",
        ) from error


def _table_state(name: str, metadata: dict[str, Any]) -> TableState:
    current = metadata.get("current-snapshot-id")
    schemas = metadata.get("schemas") or [{"schema-id": 0, **metadata.get("schema", {})}]
    return TableState(
        name=name,
        table_uuid=str(metadata.get("table-uuid", "")),
        format_version=metadata.get("format-version", 1),
        current_snapshot_id=None if current in {None, -1} else str(current),
        snapshots=tuple(_snapshot(s) for s in metadata.get("snapshots") or ()),
        refs=tuple(_ref(ref, value) for ref, value in sorted((metadata.get("refs") or {}).items())),
        schemas={s.get("schema-id", 0): _columns(s) for s in schemas},
        current_schema_id=metadata.get("current-schema-id", 0),
        properties={k: str(v) for k, v in (metadata.get("properties") or {}).items()},
        log=tuple(
            Move.model_construct(at_ms=entry["timestamp-ms"], snapshot_id=str(entry["snapshot-id"]))
            for entry in metadata.get("snapshot-log") or ()
        ),
    )


def _snapshot(value: dict[str, Any]) -> Snapshot:
    summary = {k: str(v) for k, v in (value.get("summary") or {}).items()}
    parent = value.get("parent-snapshot-id")
    # Not validated again, field by field: thousands of snapshots are a table's normal state.
    return Snapshot.model_construct(
        snapshot_id=str(value["snapshot-id"]),
        parent_id=None if parent in {None, -1} else str(parent),
        sequence_number=value.get("sequence-number", 0),
        timestamp_ms=value.get("timestamp-ms", 0),
        operation=_OPERATIONS.get(summary.pop("operation", None), "unknown"),
        schema_id=value.get("schema-id"),
        summary=summary,
    )


def _ref(name: str, value: dict[str, Any]) -> Ref:
    return Ref(name=name, kind=value.get("type", "branch"), snapshot_id=str(value["snapshot-id"]))


def _columns(schema: dict[str, Any]) -> tuple[Column, ...]:
    return tuple(
        Column(field_id=f["id"], name=f["name"], type=_type(f["type"]), required=f.get("required", False))
        for f in schema.get("fields", ())
    )


def _type(value: Any) -> str:
    return value if isinstance(value, str) else canonical_json(value)
