"""Names of tables in Spark's SQL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from lakeloop.domain.labels import quoted
from lakeloop.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def qualified(settings: Settings, table: str) -> str:
    """`catalog.namespace.table`, each part quoted."""
    return ".".join(quoted(part) for part in (settings.catalog_name, *table.split(".")))


def create_table(  # noqa: PLR0913, PLR0917 - what a table is
    spark: SparkSession,
    settings: Settings,
    table: str,
    columns: dict[str, str],
    partition_by: tuple[str, ...],
    properties: Mapping[str, str] | None = None,
) -> None:
    """Namespace and table (format version 2, Parquet with zstd), unless they are there.

    Columns are name -> Spark SQL type, all optional; `partition_by` are Iceberg transforms in Spark's SQL, e.g.
    `days(event_time)`; `properties` are the table's, beside those two, their values without quotes.
    """
    namespace = qualified(settings, table.rpartition(".")[0])
    spark.sql(f"CREATE NAMESPACE IF NOT EXISTS {namespace}")
    listed = ", ".join(f"{quoted(name)} {kind}" for name, kind in columns.items())
    partitioned = f"PARTITIONED BY ({', '.join(partition_by)})" if partition_by else ""
    known = {"format-version": "2", "write.parquet.compression-codec": "zstd", **(properties or {})}
    told = ", ".join(f"'{name}'='{value}'" for name, value in known.items())
    spark.sql(
        f"CREATE TABLE IF NOT EXISTS {qualified(settings, table)} ({listed}) USING iceberg {partitioned} "
        f"TBLPROPERTIES ({told})"
    )


def add_columns(spark: SparkSession, settings: Settings, table: str, columns: Mapping[str, str]) -> None:
    """Columns at the table's end, name -> Spark SQL type, in one commit."""
    added = ", ".join(f"{quoted(name)} {kind}" for name, kind in columns.items())
    spark.sql(f"ALTER TABLE {qualified(settings, table)} ADD COLUMNS ({added})")


def appended_rows(
    spark: SparkSession, settings: Settings, table: str, start: str | None, end: str
) -> DataFrame:
    """Rows that append snapshots added in `(start, end]`; from the first row where `start` is None."""
    if start is None:
        return rows_at(spark, settings, table, end)
    reader = spark.read.format("iceberg").option("start-snapshot-id", start).option("end-snapshot-id", end)
    return reader.load(qualified(settings, table))


def rows_at(spark: SparkSession, settings: Settings, table: str, snapshot_id: str) -> DataFrame:
    """All rows at a snapshot, with the schema of that snapshot."""
    reader = spark.read.format("iceberg").option("versionAsOf", snapshot_id)
    return reader.load(qualified(settings, table))
