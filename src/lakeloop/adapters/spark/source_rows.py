"""The rows of the source table that a plan reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakeloop.adapters.spark.branches import TableRefs
from lakeloop.adapters.spark.failures import first_line, spark_failures
from lakeloop.adapters.spark.sql import appended_rows, qualified, rows_at
from lakeloop.domain.errors import RefusedError
from lakeloop.domain.plan import Plan
from lakeloop.domain.snapshots import SnapshotRange
from lakeloop.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_VIEW = "lakeloop_changes"
_CHANGE_COLUMNS = ("_change_type", "_change_ordinal", "_commit_snapshot_id")


def source_rows(spark: SparkSession, settings: Settings, range_: SnapshotRange, plan: Plan) -> DataFrame:
    """Rows of one range: whole at its end where it begins at the first row, else what the plan's action reads.

    Raises:
        RefusedError: Iceberg cannot tell the net changes of this range.
    """
    start, end = range_.from_snapshot_id, range_.to_snapshot_id
    if start is None:
        return rows_at(spark, settings, range_.table, end)
    if plan.action == "changelog" and range_ == plan.range:
        if TableRefs(spark, qualified(settings, range_.table)).have_delete_files(
            [s.snapshot_id for s in plan.snapshots]
        ):
            return _difference(
                rows_at(spark, settings, range_.table, start), rows_at(spark, settings, range_.table, end)
            )
        return _net_inserts(spark, settings, range_.table, start, end)
    return appended_rows(spark, settings, range_.table, start, end)


def _net_inserts(spark: SparkSession, settings: Settings, table: str, start: str, end: str) -> DataFrame:
    """Rows that are there at `end` and were not at `start`; a row that came and went in between is none of them."""
    procedure = f"{settings.catalog_name}.system.create_changelog_view"
    try:
        spark.sql(
            f"CALL {procedure}(table => '{table}', changelog_view => '{_VIEW}', net_changes => true, "
            f"options => map('start-snapshot-id', '{start}', 'end-snapshot-id', '{end}'))"
        )
        return spark.table(_VIEW).where("_change_type = 'INSERT'").drop(*_CHANGE_COLUMNS)
    except spark_failures() as error:
        raise RefusedError(
            f"net changes cannot be read: {first_line(error)}",
            where=qualified(settings, table),
            fix="set snapshots.on_delete and on_overwrite to rebuild",
        ) from error


def _difference(before: DataFrame, after: DataFrame) -> DataFrame:
    """Rows of `after` beyond those of `before`, as multisets; a column that came since is null in the earlier rows.

    By definition the same as the changelog's net inserts. It reads both snapshots whole, and knows every kind of
    delete file, of which Iceberg's changelog knows none.
    """
    from pyspark.sql import functions as F  # noqa: N812 - the field's name for it

    known = {field.name: field.dataType for field in before.schema.fields}
    columns = [
        F.col(f"`{field.name}`")
        if field.name in known
        else F.lit(None).cast(field.dataType).alias(field.name)
        for field in after.schema.fields
    ]
    return after.exceptAll(before.select(*columns))
