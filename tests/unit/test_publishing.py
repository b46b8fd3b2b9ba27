"""Features from the lake to the online store: the latest row of each entity, of the newest definitions only."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from lakeloop import bootstrap
from lakeloop.adapters.iceberg.lake import IcebergLake
from lakeloop.domain.errors import UserError
from lakeloop.domain.feature_table import (
    FEATURE_HASH_PROPERTY,
    RANGE_PROPERTY,
    RANGE_TO_PROPERTY,
    feature_table,
)
from lakeloop.domain.use_case import UseCase
from lakeloop.publishing import publish_features
from lakeloop.settings import Settings

COLUMNS = {"loan_id": "long", "customer": "string", "at": "timestamp", "amount": "double", "bad": "int"}


def use_case(entity: list[str] | None = None) -> UseCase:
    return UseCase.model_validate(
        {
            "name": "loans",
            "table": {"name": "bank.loans", "key": ["loan_id"], "event_time": "at", "columns": COLUMNS},
            "source": {"kind": "table"},
            "label": {"column": "bad"},
            "features": ["amount", {"name": "twice", "expression": "2 * amount"}],
            **({"online": {"entity": entity}} if entity else {}),
        }
    )


def rows(*loans: tuple[int, str | None, int, float]) -> pa.Table:
    return pa.table(
        {
            "loan_id": pa.array([loan[0] for loan in loans], pa.int64()),
            "customer": pa.array([loan[1] for loan in loans], pa.string()),
            "at": pa.array([datetime(2025, 1, loan[2], tzinfo=UTC) for loan in loans], pa.timestamp("us")),
            "amount": pa.array([loan[3] for loan in loans], pa.float64()),
            "bad": pa.array([0] * len(loans), pa.int32()),
        }
    )


class Tables:
    """A source table, and a feature table with one range a batch, as a run leaves them."""

    def __init__(self, settings: Settings) -> None:
        self._lake = IcebergLake(settings)
        self._lake.catalog.create_namespace_if_not_exists("bank")
        self.features = feature_table(use_case(), COLUMNS)

    def land(self, batch: pa.Table, hash_: str | None = None) -> str:
        source = self._lake.catalog.create_table_if_not_exists("bank.loans", batch.schema)
        source.append(batch)
        snapshot = source.refresh().current_snapshot()
        assert snapshot is not None
        range_id = f"r{snapshot.snapshot_id}"
        amounts = batch.column("amount")
        table = pa.table(
            {
                "at": batch.column("at"),
                "loan_id": batch.column("loan_id"),
                "_label": pa.array([0.0] * len(batch)),
                "amount": amounts,
                "twice": pa.array([2 * a for a in amounts.to_pylist()]),
                "_range_id": [range_id] * len(batch),
            }
        )
        told = {
            RANGE_PROPERTY: range_id,
            RANGE_TO_PROPERTY: str(snapshot.snapshot_id),
            FEATURE_HASH_PROPERTY: hash_ or self.features.hash,
        }
        features = self._lake.catalog.create_table_if_not_exists(self.features.name, table.schema)
        features.append(table, snapshot_properties=told)
        return str(snapshot.snapshot_id)


def test_each_entity_has_the_features_of_its_latest_row(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    tables, places = Tables(settings), bootstrap.feature_places(settings)
    tables.land(rows((1, "ana", 1, 10.0), (2, "bob", 1, 20.0), (3, "ana", 3, 30.0), (4, None, 4, 1.0)))
    newest = tables.land(rows((5, "ana", 2, 99.0), (6, "bob", 5, 60.0), (7, "bob", 5, 70.0)))
    made = publish_features(places, use_case(["customer"]))
    assert (made.published, made.version.source_snapshot_id) == (True, newest)
    answered = places.store.get("loans", ["ana", "bob", "None"])
    assert answered is not None
    assert [e and e.features for e in answered[1]] == [
        {"amount": 30.0, "twice": 60.0},
        {"amount": 70.0, "twice": 140.0},
        None,
    ]
    assert not publish_features(places, use_case(["customer"])).published


def test_rows_of_other_definitions_are_not_served(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    tables, places = Tables(settings), bootstrap.feature_places(settings)
    tables.land(rows((1, "ana", 1, 10.0)))
    tables.land(rows((2, "ana", 2, 20.0)), hash_="another")
    publish_features(places, use_case(["loan_id"]))
    answered = places.store.get("loans", ["1", "2"])
    assert answered is not None
    assert [e is not None for e in answered[1]] == [True, False]


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    places = bootstrap.feature_places(Settings(home=tmp_path))
    with pytest.raises(UserError, match=r"online.entity"):
        publish_features(places, use_case())
    with pytest.raises(UserError, match="no features"):
        publish_features(places, use_case(["customer"]))
