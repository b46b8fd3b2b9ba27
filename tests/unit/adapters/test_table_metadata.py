"""Metadata files of every format version and writer."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from lakeloop.adapters.iceberg.metadata import local_path, read_metadata_file, table_state
from lakeloop.domain.errors import LakeloopError

BIG = 3051729675574597004  # no double holds it
VERSION_1: dict[str, Any] = {
    "format-version": 1,
    "table-uuid": "u",
    "schema": {"type": "struct", "fields": [{"id": 1, "name": "id", "required": True, "type": "long"}]},
    "current-snapshot-id": BIG,
    "snapshots": [{"snapshot-id": BIG, "timestamp-ms": 5}],
}
NESTED = {"type": "list", "element-id": 3, "element-required": False, "element": "string"}
VERSION_3: dict[str, Any] = {
    "format-version": 3,
    "table-uuid": "u",
    "current-schema-id": 4,
    "schemas": [
        {"schema-id": 2, "fields": []},
        {"schema-id": 4, "fields": [{"id": 2, "name": "tags", "required": False, "type": NESTED}]},
    ],
    "current-snapshot-id": BIG + 1,
    "snapshots": [
        {"snapshot-id": BIG, "parent-snapshot-id": -1, "summary": {"operation": "append"}},
        {
            "snapshot-id": BIG + 1,
            "parent-snapshot-id": BIG,
            "sequence-number": 2,
            "timestamp-ms": 7,
            "schema-id": 4,
            "summary": {"operation": "overwrite", "added-records": 3},
        },
    ],
    "refs": {"v1": {"snapshot-id": BIG, "type": "tag"}, "main": {"snapshot-id": BIG + 1, "type": "branch"}},
    "properties": {"owner": "ana"},
}


def test_version_1_without_summary_schemas_or_refs() -> None:
    state = table_state("a.b", VERSION_1)
    assert state.current_snapshot_id == "3051729675574597004"
    assert [(s.operation, s.summary, s.parent_id) for s in state.snapshots] == [("unknown", {}, None)]
    assert [(c.field_id, c.name, c.type, c.required) for c in state.columns] == [(1, "id", "long", True)]


def test_version_3_whole() -> None:
    state = table_state("a.b", VERSION_3)
    assert [(s.snapshot_id, s.parent_id, s.operation) for s in state.snapshots] == [
        ("3051729675574597004", None, "append"),
        ("3051729675574597005", "3051729675574597004", "overwrite"),
    ]
    newest = state.snapshots[1]
    assert (newest.sequence_number, newest.timestamp_ms, newest.schema_id, newest.count("added-records")) == (
        2,
        7,
        4,
        3,
    )
    assert [(r.name, r.kind) for r in state.refs] == [("main", "branch"), ("v1", "tag")]
    assert json.loads(state.columns[0].type) == NESTED
    assert state.properties == {"owner": "ana"}
    assert type(state).model_validate_json(state.model_dump_json()) == state


def test_no_current_snapshot_is_none_in_both_spellings() -> None:
    for spelling in ({"current-snapshot-id": -1}, {"current-snapshot-id": None}, {}):
        document = {k: v for k, v in VERSION_3.items() if k != "current-snapshot-id"}
        assert table_state("a.b", {**document, **spelling}).current_snapshot_id is None


@pytest.mark.parametrize(
    "broken",
    [{"snapshots": [{}]}, {"snapshots": 3}, {"refs": {"main": {}}}, {"schemas": [{"fields": [{"id": 1}]}]}],
)
def test_a_document_that_is_no_table_metadata_is_named(broken: dict[str, Any]) -> None:
    with pytest.raises(LakeloopError, match="not what the Iceberg spec asks for") as raised:
        table_state("a.b", {**VERSION_3, **broken})
    assert raised.value.where == "a.b"


def test_compressed_metadata_reads_like_plain(tmp_path: Path) -> None:
    text = json.dumps(VERSION_3)
    (tmp_path / "1.metadata.json").write_text(text)
    (tmp_path / "1.gz.metadata.json").write_bytes(gzip.compress(text.encode()))
    plain, packed = (
        read_metadata_file(tmp_path / name) for name in ("1.metadata.json", "1.gz.metadata.json")
    )
    assert plain == packed == VERSION_3


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe"])
def test_a_broken_file_is_named(tmp_path: Path, content: bytes) -> None:
    for name in ("x.metadata.json", "x.gz.metadata.json"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(LakeloopError, match="cannot be read") as raised:
            read_metadata_file(tmp_path / name)
        assert raised.value.where == str(tmp_path / name)


@pytest.mark.parametrize("location", ["/a b/c%20d", "file:/a b/c%20d", "file:///a b/c%20d"])
def test_local_locations_in_every_spelling(location: str) -> None:
    assert local_path(location) == Path("/a b/c%20d")


def test_remote_locations_are_not_local() -> None:
    assert local_path("s3://bucket/t/metadata/1.metadata.json") is None
