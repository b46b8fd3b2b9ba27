"""One suite for every Lake."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.types import IntegerType

from lakeloop.adapters.iceberg.housekeeping import IcebergTableKeeper
from lakeloop.adapters.iceberg.lake import FOREVER_MS, IcebergLake
from lakeloop.adapters.iceberg.metadata import read_metadata_file
from lakeloop.adapters.memory.lake import MemoryLake
from lakeloop.domain.errors import ConflictError, LakeloopError
from lakeloop.domain.time_travel import snapshot_at
from lakeloop.ports.lake import Lake
from lakeloop.settings import Settings

TABLE = "bank.transactions"
NOON = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("at", pa.timestamp("us", "UTC")),
        ("amount", pa.float64()),
        ("kind", pa.string()),
        ("_range_id", pa.string()),
    ]
)


def rows(first: int, count: int, range_id: str) -> pa.Table:
    ids = range(first, first + count)
    columns: list[Any] = [
        list(ids),
        [NOON + dt.timedelta(seconds=i) for i in ids],
        [i / 2 for i in ids],
        [f"k{i % 2}" for i in ids],
        [range_id] * count,
    ]
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)], schema=SCHEMA)


@dataclass
class Place:
    lake: Lake
    append: Callable[[pa.Table, dict[str, str]], str]


@pytest.fixture(params=["iceberg", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "memory":
        memory = MemoryLake()
        return Place(memory, lambda table, summary: memory.append(TABLE, table, summary))
    lake = IcebergLake(Settings(home=tmp_path / "home with a blank"))
    return Place(lake, lambda table, summary: iceberg_append(lake, table, summary))


def iceberg_append(lake: IcebergLake, table: pa.Table, summary: dict[str, str]) -> str:
    target = lake.find(TABLE)
    if target is None:
        lake.catalog.create_namespace_if_not_exists("bank")
        target = lake.catalog.create_table(TABLE, SCHEMA)
        with target.update_spec() as spec:
            spec.add_identity("_range_id")
    target.append(table, snapshot_properties=summary)
    head = target.refresh().current_snapshot()
    assert head is not None
    return str(head.snapshot_id)


def read(lake: Lake, snapshot_id: str, **options: Any) -> pa.Table:
    return pa.Table.from_batches(lake.read_batches(TABLE, snapshot_id, **options))


def test_a_table_that_is_not_there_has_no_state_and_cannot_be_read(place: Place) -> None:
    assert place.lake.table_state(TABLE) is None
    with pytest.raises(LakeloopError, match=r"no table 'bank\.transactions'"):
        list(place.lake.read_batches(TABLE, "1"))
    with pytest.raises(LakeloopError, match="no table"):
        place.lake.pin(TABLE, "v1", "1")


def test_state_tells_snapshots_in_order_with_parents_summaries_schema_and_main(place: Place) -> None:
    first = place.append(rows(0, 10, "a"), {"lakeloop.batch-id": "b1"})
    second = place.append(rows(10, 5, "b"), {})
    state = place.lake.table_state(TABLE)
    assert state is not None
    assert [s.snapshot_id for s in state.snapshots] == [first, second]
    assert [s.parent_id for s in state.snapshots] == [None, first]
    assert [s.operation for s in state.snapshots] == ["append", "append"]
    assert [s.count("added-records") for s in state.snapshots] == [10, 5]
    assert state.snapshots[0].summary["lakeloop.batch-id"] == "b1"
    assert state.current_snapshot_id == second
    assert [(r.name, r.kind, r.snapshot_id) for r in state.refs] == [("main", "branch", second)]
    types = ["long", "timestamptz", "double", "string", "string"]
    assert [(c.name, c.type) for c in state.columns] == list(zip(SCHEMA.names, types, strict=True))


def test_rows_come_as_they_were_at_the_snapshot_with_their_arrow_types(place: Place) -> None:
    first = place.append(rows(0, 10, "a"), {})
    second = place.append(rows(10, 5, "b"), {})
    assert read(place.lake, first).sort_by("id").equals(rows(0, 10, "a"))
    assert read(place.lake, second).num_rows == 15
    assert read(place.lake, second).schema.equals(SCHEMA)


def test_columns_come_in_the_order_asked_for(place: Place) -> None:
    head = place.append(rows(0, 3, "a"), {})
    table = read(place.lake, head, columns=["kind", "id"]).sort_by("id")
    assert table.column_names == ["kind", "id"]
    assert table["kind"].to_pylist() == ["k0", "k1", "k0"]


def test_only_listed_ranges_and_values_come(place: Place) -> None:
    place.append(rows(0, 4, "a"), {})
    place.append(rows(4, 4, "b"), {})
    head = place.append(rows(8, 4, "c"), {})
    ranges = read(place.lake, head, columns=["id"], range_ids=["a", "c"])
    assert sorted(ranges["id"].to_pylist()) == [0, 1, 2, 3, 8, 9, 10, 11]
    picked = read(place.lake, head, columns=["id"], where={"id": [2, 9, 99], "kind": ["k0"]})
    assert picked["id"].to_pylist() == [2]
    at = read(place.lake, head, columns=["id"], where={"at": [NOON + dt.timedelta(seconds=5)]})
    assert at["id"].to_pylist() == [5]


def test_no_rows_still_tell_their_schema(place: Place) -> None:
    head = place.append(rows(0, 4, "a"), {})
    cases: list[dict[str, Any]] = [{"range_ids": []}, {"range_ids": ["z"]}, {"where": {"id": [77]}}]
    for nothing in cases:
        table = read(place.lake, head, columns=["at"], **nothing)
        assert (table.num_rows, table.schema.field("at").type) == (0, pa.timestamp("us", "UTC"))


def test_a_missing_snapshot_or_column_is_named(place: Place) -> None:
    head = place.append(rows(0, 4, "a"), {})
    with pytest.raises(LakeloopError, match="no snapshot 77"):
        list(place.lake.read_batches(TABLE, "77"))
    with pytest.raises(LakeloopError, match="no column 'amnt'"):
        list(place.lake.read_batches(TABLE, head, columns=["amnt"]))
    with pytest.raises(LakeloopError, match="no column 'amnt'"):
        list(place.lake.read_batches(TABLE, head, where={"amnt": [1]}))


def test_the_log_tells_what_main_pointed_at(place: Place) -> None:
    heads = [place.append(rows(first, 2, "a"), {}) for first in (0, 2)]
    state = place.lake.table_state(TABLE)
    assert state is not None
    assert [m.snapshot_id for m in state.log] == heads
    assert [snapshot_at(state, m.at_ms).snapshot_id for m in state.log] == heads


def test_two_snapshots_differ_by_the_files_that_they_do_not_share(place: Place) -> None:
    first = place.append(rows(0, 4, "a"), {})
    second = place.append(rows(4, 3, "b"), {})
    forward, back = (
        place.lake.difference(TABLE, a, b, ["id"]) for a, b in ((first, second), (second, first))
    )
    assert (forward.gone_files, forward.come_files > 0) == (0, True)
    assert (back.gone_files > 0, back.come_files) == (True, 0)
    for side in (forward.come, back.gone):
        table = pa.Table.from_batches(side())
        assert table.column_names == ["id"]
        assert sorted(table["id"].to_pylist()) == [4, 5, 6]
    assert pa.Table.from_batches(forward.gone()).num_rows == 0
    with pytest.raises(LakeloopError, match="no snapshot 77"):
        place.lake.difference(TABLE, "77", second)
    with pytest.raises(LakeloopError, match="no column 'amnt'"):
        place.lake.difference(TABLE, first, second, ["amnt"])


def test_a_pin_holds_its_snapshot_and_comes_off_again(place: Place) -> None:
    first = place.append(rows(0, 4, "a"), {})
    second = place.append(rows(4, 4, "b"), {})
    place.lake.pin(TABLE, "model_v1", first)
    place.lake.pin(TABLE, "model_v1", first)
    assert tags(place.lake) == {"model_v1": first}
    with pytest.raises(ConflictError, match=f"'model_v1' already holds snapshot {first}"):
        place.lake.pin(TABLE, "model_v1", second)
    with pytest.raises(LakeloopError, match="no snapshot 77"):
        place.lake.pin(TABLE, "model_v2", "77")
    place.lake.unpin(TABLE, "model_v1")
    place.lake.unpin(TABLE, "model_v1")
    assert tags(place.lake) == {}
    with pytest.raises(LakeloopError, match="branch"):
        place.lake.unpin(TABLE, "main")
    assert read(place.lake, second).num_rows == 8


def test_several_pins_hold_together_or_not_at_all(place: Place) -> None:
    first = place.append(rows(0, 4, "a"), {})
    second = place.append(rows(4, 4, "b"), {})
    place.lake.pin(TABLE, "one", first)
    place.lake.pin_all(TABLE, {"one": first, "two": second, "three": first})
    place.lake.pin_all(TABLE, {"two": second})
    held = {"one": first, "two": second, "three": first}
    assert tags(place.lake) == held
    with pytest.raises(ConflictError, match="'one' already holds"):
        place.lake.pin_all(TABLE, {"four": first, "one": second})
    with pytest.raises(LakeloopError, match="no snapshot 77"):
        place.lake.pin_all(TABLE, {"five": first, "six": "77"})
    assert tags(place.lake) == held
    with pytest.raises(LakeloopError, match="branch"):
        place.lake.unpin(TABLE, "one", "main")
    place.lake.unpin(TABLE, "one", "seven", "two")
    assert tags(place.lake) == {"three": first}


def tags(lake: Lake) -> dict[str, str]:
    state = lake.table_state(TABLE)
    assert state is not None
    return {r.name: r.snapshot_id for r in state.refs if r.kind == "tag"}


def test_an_iceberg_pin_never_ages(tmp_path: Path) -> None:
    lake = IcebergLake(Settings(home=tmp_path))
    first = iceberg_append(lake, rows(0, 4, "a"), {})
    lake.pin(TABLE, "model_v1", first)
    table = lake.find(TABLE)
    assert table is not None
    assert table.metadata.refs["model_v1"].max_ref_age_ms == FOREVER_MS


def test_pins_on_a_table_of_version_3_lose_nothing_that_its_writer_knows(tmp_path: Path) -> None:
    """pyiceberg writes no metadata of version 3: what it changes is put onto the last writer's document."""
    settings = Settings(home=tmp_path)
    lake = IcebergLake(settings)
    first, second = (iceberg_append(lake, rows(i, 4, "a"), {}) for i in (0, 4))
    before = as_version_3(lake)
    lake = IcebergLake(settings)
    lake.pin_all(TABLE, {"one": first, "two": second})
    lake.unpin(TABLE, "two")
    table = lake.find(TABLE)
    assert table is not None
    table.manage_snapshots().create_branch(int(first), "attempt").commit()
    assert IcebergTableKeeper(settings).drop_branch(TABLE, "attempt", first)
    after = document(lake)
    assert set(after["refs"]) == {"main", "one"}
    assert after["refs"]["one"]["max-ref-age-ms"] == FOREVER_MS
    assert len(after["metadata-log"]) == len(before["metadata-log"]) + 4
    changed = {"refs", "last-updated-ms", "metadata-log"}
    assert {k: v for k, v in after.items() if k not in changed} == {
        k: v for k, v in before.items() if k not in changed
    }
    state = lake.table_state(TABLE)
    assert state is not None
    assert (state.format_version, state.current_snapshot_id) == (3, second)
    with pytest.raises(NotImplementedError, match="Spark can"), table.update_schema() as change:
        change.add_column("more", IntegerType())


def document(lake: IcebergLake) -> dict[str, Any]:
    table = lake.find(TABLE)
    assert table is not None
    value: dict[str, Any] = json.loads(Path(table.metadata_location.removeprefix("file://")).read_bytes())
    return value


def as_version_3(lake: IcebergLake) -> dict[str, Any]:
    """The current metadata file as Spark would have left it, with what pyiceberg does not know."""
    made = document(lake)
    lineage = [{**s, "first-row-id": 4 * i, "added-rows": 4} for i, s in enumerate(made["snapshots"])]
    made |= {
        "format-version": 3,
        "next-row-id": 8,
        "snapshots": lineage,
        "encryption-keys": [],
        "later": {"a": 1},
    }
    made["schemas"][0]["fields"][0]["initial-default"] = 7
    table = lake.find(TABLE)
    assert table is not None
    Path(table.metadata_location.removeprefix("file://")).write_text(json.dumps(made))
    return made


def test_a_renamed_column_is_filtered_by_the_name_it_had_at_the_snapshot(tmp_path: Path) -> None:
    lake = IcebergLake(Settings(home=tmp_path))
    before = iceberg_append(lake, rows(0, 4, "a"), {})
    table = lake.find(TABLE)
    assert table is not None
    with table.update_schema() as change:
        change.rename_column("kind", "category")
    found = read(lake, before, columns=["id", "kind"], where={"kind": ["k1"]})
    assert found.sort_by("id").to_pydict() == {"id": [1, 3], "kind": ["k1", "k1"]}


def test_pruned_ranges_are_not_read_from_disk(tmp_path: Path) -> None:
    lake = IcebergLake(Settings(home=tmp_path))
    iceberg_append(lake, rows(0, 4, "a"), {})
    head = iceberg_append(lake, rows(4, 4, "b"), {})
    for file in tmp_path.rglob("*.parquet"):
        if "_range_id=a" in str(file):
            file.unlink()
    assert sorted(read(lake, head, columns=["id"], range_ids=["b"])["id"].to_pylist()) == [4, 5, 6, 7]


def test_files_are_read_one_by_one_as_the_rows_are_asked_for(tmp_path: Path) -> None:
    lake = IcebergLake(Settings(home=tmp_path))
    for first in (0, 4, 8):
        head = iceberg_append(lake, rows(first, 4, "a"), {})
    batches = lake.read_batches(TABLE, head)
    assert next(batches).num_rows == 4
    for file in tmp_path.rglob("*.parquet"):
        file.unlink()
    with pytest.raises(LakeloopError, match="file of the table cannot be read"):
        list(batches)


def test_a_catalog_that_does_not_answer_is_one_clear_error_without_its_password(tmp_path: Path) -> None:
    catalog = {"type": "rest", "uri": "http://reader:secret@127.0.0.1:9/iceberg"}
    with pytest.raises(LakeloopError, match="catalog does not answer") as raised:
        IcebergLake(Settings(home=tmp_path, iceberg_catalog=catalog)).table_state(TABLE)
    assert raised.value.where == "http://127.0.0.1:9/iceberg"
    assert "secret" not in str(raised.value)


def test_a_catalog_file_that_is_no_database_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "catalog.db").write_text("not a database, certainly " * 100)
    with pytest.raises(LakeloopError, match="catalog does not answer"):
        IcebergLake(Settings(home=tmp_path)).table_state(TABLE)


def test_a_lost_metadata_file_is_named(tmp_path: Path) -> None:
    lake = IcebergLake(Settings(home=tmp_path))
    iceberg_append(lake, rows(0, 4, "a"), {})
    for file in tmp_path.rglob("*.metadata.json"):
        file.unlink()
    with pytest.raises(LakeloopError, match=r"metadata cannot be read") as raised:
        lake.table_state(TABLE)
    assert raised.value.where.endswith(".metadata.json")


def test_a_metadata_file_that_a_commit_removed_meanwhile_is_looked_up_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, writer = IcebergLake(Settings(home=tmp_path)), IcebergLake(Settings(home=tmp_path))
    iceberg_append(lake, rows(0, 4, "a"), {})
    heads = []

    def overtaken(path: Path) -> dict[str, Any]:
        if not heads:
            heads.append(iceberg_append(writer, rows(4, 4, "a"), {}))
            path.unlink()
        return read_metadata_file(path)

    monkeypatch.setattr("lakeloop.adapters.iceberg.lake.read_metadata_file", overtaken)
    state = lake.table_state(TABLE)
    assert state is not None
    assert [state.current_snapshot_id] == heads


def test_another_catalog_of_pyiceberg_gives_the_same_state(tmp_path: Path) -> None:
    lake = IcebergLake(Settings(home=tmp_path))
    iceberg_append(lake, rows(0, 4, "a"), {"lakeloop.batch-id": "b1"})
    explicit = {"type": "sql", "uri": f"sqlite:///{tmp_path / 'catalog.db'}", "warehouse": tmp_path.as_uri()}
    other = IcebergLake(Settings(home=tmp_path / "other", iceberg_catalog=explicit))
    assert other.table_state(TABLE) == lake.table_state(TABLE)
