"""Training rows as one Parquet file: each row once, as of any snapshot, whole or not at all, saying where from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from lakeloop.adapters.iceberg.lake import IcebergLake
from lakeloop.domain.errors import UserError
from lakeloop.domain.feature_table import BuiltRange, built_chain
from lakeloop.domain.lineage import CodeIdentity, Lineage, TrainingSet
from lakeloop.exporting import METADATA_KEY, export, rows_computed, rows_of
from lakeloop.settings import Settings
from tests.integration.landing import LakeWithoutSpark, Landing

PREVIOUS = {"name": "seen_before", "as_of": {"entity": "kind", "aggregate": "count"}}


@pytest.fixture
def landing(tmp_path: Path) -> Landing:
    settings = Settings(home=tmp_path / "home")
    return Landing(
        LakeWithoutSpark(settings), "ns", tmp_path, {"features": ["amount", PREVIOUS]}, engine="local"
    )


def landed(landing: Landing, name: str, first: int, count: int) -> TrainingSet:
    landing.land(name, first, count)
    plan = landing.plan()
    made = landing.build(plan)
    landing.consume(plan)
    return made


def exported(landing: Landing, at: str | None = None) -> pa.Table:
    to = landing.folder / "out.parquet"
    lake = landing.spark_lake.lake
    count = export(lake, rows_computed(lake, landing.use_case, at), to)
    table = parquet.read_table(to)
    assert table.num_rows == count
    return table


def told(table: pa.Table) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(table.schema.metadata[METADATA_KEY])
    return document


def test_the_file_has_each_row_once_with_what_was_known_at_its_time(landing: Landing) -> None:
    landed(landing, "one", 0, 10)
    second = landed(landing, "two", 10, 5)
    table = exported(landing)
    assert table.column_names == ["at", "id", "_label", "amount", "seen_before"]
    assert sorted(table.column("id").to_pylist()) == list(range(15))
    row = next(r for r in table.to_pylist() if r["id"] == 13)
    assert (row["seen_before"], row["amount"], row["_label"]) == (6, 13.5, 0)
    document = told(table)
    assert document["source_snapshot_id"] == second.range.to_snapshot_id
    assert document["source_from_snapshot_id"] is None
    assert document["range_ids"][-1] == second.newest_range_id
    assert len(document["range_ids"]) == 2


def test_at_an_earlier_snapshot_only_what_the_table_held_then(landing: Landing) -> None:
    first = landed(landing, "one", 0, 10)
    second = landed(landing, "two", 10, 5)
    table = exported(landing, first.range.to_snapshot_id)
    assert sorted(table.column("id").to_pylist()) == list(range(10))
    assert told(table)["range_ids"] == [first.newest_range_id]
    assert exported(landing, second.range.to_snapshot_id).num_rows == 15
    with pytest.raises(UserError, match="no snapshot yet at 2001"):
        exported(landing, "2001-01-01")
    with pytest.raises(UserError, match="no branch, tag, snapshot id or time"):
        exported(landing, "yesterday")


def test_a_version_gives_exactly_the_rows_that_it_was_trained_on(landing: Landing) -> None:
    first = landed(landing, "one", 0, 10)
    landed(landing, "two", 10, 5)
    lineage = Lineage(
        run_key="k", use_case="pumps", use_case_digest="d", training_set=first, code=CodeIdentity(), seed=1
    )
    to, lake = landing.folder / "v.parquet", landing.spark_lake.lake
    assert export(lake, rows_of(lineage, "3", lake), to) == 10
    document = told(parquet.read_table(to))
    assert (document["model_version"], document["run_key"]) == ("3", "k")
    gone = lineage.model_copy(
        update={"training_set": first.model_copy(update={"feature_snapshot_id": "4711"})}
    )
    with pytest.raises(UserError, match="rows are gone"):
        rows_of(gone, "3", lake)


def test_a_file_that_cannot_be_finished_leaves_the_one_before(
    landing: Landing, monkeypatch: pytest.MonkeyPatch
) -> None:
    landed(landing, "one", 0, 10)
    exported(landing)
    before = (landing.folder / "out.parquet").read_bytes()
    real = IcebergLake.read_batches

    def torn(*arguments: Any, **named: Any) -> Iterator[pa.RecordBatch]:
        yield next(real(*arguments, **named))
        raise OSError("No space left on device")

    monkeypatch.setattr(IcebergLake, "read_batches", torn)
    with pytest.raises(UserError, match="No space left"):
        exported(landing)
    assert (landing.folder / "out.parquet").read_bytes() == before
    assert not list(landing.folder.glob(".out*"))


def test_places_that_are_no_file_and_tables_without_features_are_refused(landing: Landing) -> None:
    lake = landing.spark_lake.lake
    with pytest.raises(UserError, match="no features have been computed"):
        rows_computed(lake, landing.use_case)
    landing.land("one", 0, 10)
    with pytest.raises(UserError, match="no features have been computed"):
        rows_computed(lake, landing.use_case)
    landed(landing, "two", 10, 5)
    rows = rows_computed(lake, landing.use_case)
    with pytest.raises(UserError, match="a folder"):
        export(lake, rows, landing.folder)
    with pytest.raises(UserError, match="cannot be written"):
        export(lake, rows, landing.folder / "nowhere" / "x.parquet")


def built(name: str, start: str | None, end: str) -> BuiltRange:
    return BuiltRange(name, start, end, "f", 1, "")


def test_ranges_that_were_computed_again_are_not_counted_twice() -> None:
    ranges = {b.range_id: b for b in (built("a", None, "1"), built("b", "1", "2"), built("c", None, "2"))}
    assert [b.range_id for b in built_chain(ranges, ["2", "1"], strict=True)] == ["c"]
    assert [b.range_id for b in built_chain(ranges, ["1"], strict=True)] == ["a"]
    assert built_chain(ranges, ["9"], strict=True) == ()
    assert [b.range_id for b in built_chain(ranges, [], strict=False)] == ["c"]


def test_what_main_left_by_a_rollback_is_not_exported() -> None:
    ranges = {b.range_id: b for b in (built("a", None, "1"), built("b", "1", "2"), built("c", "1", "3"))}
    assert [b.range_id for b in built_chain(ranges, ["3", "1"], strict=True)] == ["a", "c"]
