"""The rows of a range read again, whatever has expired between its ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lakeloop.adapters.spark.sql import appended_rows, qualified, rows_at
from lakeloop.domain.errors import RefusedError
from lakeloop.domain.rereading import reading_of
from lakeloop.domain.snapshots import SnapshotRange, TableState
from lakeloop.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def rows_again(
    spark: SparkSession, settings: Settings, state: TableState, range_: SnapshotRange
) -> DataFrame:
    """The rows that a training read of `(from, to]`.

    Raises:
        RefusedError: they cannot be read any more.
    """
    match reading_of(state, range_):
        case "whole" | "appends":
            return appended_rows(
                spark, settings, range_.table, range_.from_snapshot_id, range_.to_snapshot_id
            )
        case "difference":
            return _difference(
                spark, settings, range_.table, str(range_.from_snapshot_id), range_.to_snapshot_id
            )
    raise RefusedError(
        f"the rows of ({range_.from_snapshot_id}, {range_.to_snapshot_id}] cannot be read any more",
        where=range_.table,
    )


def _difference(spark: SparkSession, settings: Settings, table: str, start: str, end: str) -> DataFrame:
    """Rows at `end` that were not at `start`, each as often as it is there more.

    A file that both snapshots have, with the same deletes on it, holds the same rows in both: only the other files are
    compared. After appends alone there is nothing to compare, `start` has no file that `end` lacks.
    """
    before, after = (_files(spark, settings, table, at) for at in (start, end))
    added = _rows_of(spark, settings, table, end, after - before)
    if not before - after:
        return added
    removed = _rows_of(spark, settings, table, start, before - after)
    return added.exceptAll(_in_columns_of(added, removed))


def _in_columns_of(wanted: DataFrame, rows: DataFrame) -> DataFrame:
    """A column that was added in between is null in every earlier row: so compaction wrote it, too."""
    from pyspark.sql import functions as F  # noqa: N812 - the field's name for it

    have = set(rows.columns)
    fields = wanted.schema.fields
    return rows.select(
        *(F.col(f.name) if f.name in have else F.lit(None).cast(f.dataType).alias(f.name) for f in fields)
    )


def java_table(spark: SparkSession, qualified_name: str) -> Any:
    """Iceberg's own table object."""
    jvm: Any = spark._jvm  # noqa: SLF001 - Iceberg's API is Java's
    loader = jvm.org.apache.iceberg.spark.Spark3Util
    return loader.loadIcebergTable(spark._jsparkSession, qualified_name)  # noqa: SLF001


File = tuple[str, tuple[str, ...]]


def _files(spark: SparkSession, settings: Settings, table: str, snapshot_id: str) -> set[File]:
    """Data files of a snapshot, each with the delete files that apply to it."""
    tasks = java_table(spark, qualified(settings, table)).newScan().useSnapshot(int(snapshot_id)).planFiles()
    try:
        return {
            (str(t.file().location()), tuple(sorted(str(d.location()) for d in t.deletes())))
            for t in tasks.iterator()
        }
    finally:
        tasks.close()


def _rows_of(
    spark: SparkSession, settings: Settings, table: str, snapshot_id: str, files: set[File]
) -> DataFrame:
    from pyspark.sql import functions as F  # noqa: N812

    rows = rows_at(spark, settings, table, snapshot_id)
    return rows.where(F.col("_file").isin([path for path, _ in files]))
