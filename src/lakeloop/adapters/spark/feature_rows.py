"""Source rows -> feature rows: the one place that applies a feature table's expressions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakeloop.domain.feature_table import FeatureTable
from lakeloop.domain.snapshots import RANGE_ID_COLUMN

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def feature_rows(source: DataFrame, table: FeatureTable, range_id: str) -> DataFrame:
    """The table's columns, `_range_id` last; rows without a label are still there."""
    from pyspark.sql import functions as F  # noqa: N812 - the field's name for it

    columns = [F.expr(c.sql).alias(c.name) for c in table.columns]
    return source.select(*columns, F.lit(range_id).alias(RANGE_ID_COLUMN))
