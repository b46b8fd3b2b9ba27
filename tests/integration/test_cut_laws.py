"""However a table came to its rows, by however many trainings: each row has the same features, once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.integration.landing import Landing, rows

pytestmark = pytest.mark.spark

COUNT = 12
FULL = {"train": {"window": {"policy": "full"}}}
COLUMNS = ["id", "at", "amount", "kind", "ratio", "_label"]


@pytest.fixture
def fresh(spark_lake: Any, fresh_namespace: Callable[[], str], tmp_path: Path) -> Callable[[], Landing]:
    return lambda: Landing(spark_lake, fresh_namespace(), tmp_path, FULL)


def features(
    landing: Landing, batches: Sequence[Sequence[int]], train_after: Sequence[int]
) -> list[dict[str, Any]]:
    """Rows of the last training set, after landing the batches and training after some of them."""
    lines = rows(0, COUNT)
    for number, batch in enumerate(batches):
        landing.publish(landing.batch(f"{landing.namespace}{number}", [lines[i] for i in batch]))
        if number in train_after:
            plan = landing.plan()
            landing.build(plan)
            landing.consume(plan)
    built = landing.build(landing.plan())
    place = built.feature_table, built.feature_snapshot_id
    read = landing.spark_lake.lake.read_batches(*place, COLUMNS, built.range_ids)
    return sorted((row for batch in read for row in batch.to_pylist()), key=lambda row: row["id"])


@settings(
    max_examples=2,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(order=st.permutations(range(COUNT)), cuts=st.tuples(st.integers(3, 5), st.integers(7, 9)))
def test_any_cut_and_any_order_give_the_features_of_one_batch(
    fresh: Callable[[], Landing], order: list[int], cuts: tuple[int, int]
) -> None:
    first, second = cuts
    together = features(fresh(), [range(COUNT)], [])
    assert [row["id"] for row in together] == list(range(COUNT))
    assert features(fresh(), [order[:first], order[first:second], order[second:]], [0, 1]) == together
    assert features(fresh(), [order[:second], order[second:]], []) == together
