"""The latest row of each entity, as an online store gets it."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest

from lakeloop.adapters.duckdb.latest_features import DuckdbLatestFeatures
from lakeloop.domain.online import EntityFeatures
from lakeloop.ports.latest_features import LatestBy

EARLY, LATE = (
    dt.datetime(1969, 12, 31, 23, tzinfo=dt.UTC),
    dt.datetime(2020, 2, 29, 1, 2, 3, 4, tzinfo=dt.UTC),
)
BY = LatestBy(entity=("who",), key=("nr",), event_time="at", features=("n",))


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (pa.timestamp("us", "UTC"), "2020-02-29T01:02:03.000004+00:00"),
        (pa.timestamp("us"), "2020-02-29T01:02:03.000004"),
        (pa.date32(), "2020-02-29"),
    ],
)
def test_events_have_days_or_instants(kind: pa.DataType, told: str) -> None:
    rows = pa.record_batch(
        {
            "who": ["a", "a", "b", None],
            "nr": [1, 2, 3, 4],
            "at": pa.array([LATE, EARLY, None, LATE], pa.timestamp("us", "UTC")).cast(kind),
            "n": [1.0, 2.0, float("nan"), 4.0],
        }
    )
    found = dict(DuckdbLatestFeatures().of(iter([rows]), None, BY))
    assert found == {
        "a": EntityFeatures(event_time=told, features={"n": 1.0}),
        "b": EntityFeatures(event_time=None, features={"n": None}),
    }


def test_an_instant_may_name_an_entity() -> None:
    columns = {"who": pa.array([EARLY], pa.timestamp("us", "UTC")), "nr": [1], "at": [LATE], "n": ["x"]}
    found = dict(DuckdbLatestFeatures().of(iter([pa.record_batch(columns)]), None, BY))
    assert list(found) == ["1969-12-31 23:00:00+00:00"]
