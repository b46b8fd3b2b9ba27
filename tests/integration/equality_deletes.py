"""Equality deletes as Flink and other writers of changes leave them; Spark reads them and writes none."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa
from pyarrow import parquet


def delete_equal(spark: Any, qualified_name: str, rows: pa.Table) -> None:
    """Commit an equality delete of the rows' values in the rows' columns, over all partitions."""
    jvm = spark._jvm
    table = jvm.org.apache.iceberg.spark.Spark3Util.loadIcebergTable(spark._jsparkSession, qualified_name)
    known = [table.schema().findField(name).fieldId() for name in rows.column_names]
    fields = [
        field.with_metadata({"PARQUET:field_id": str(number)})
        for field, number in zip(rows.schema, known, strict=True)
    ]
    uri = f"{table.location()}/data/{uuid.uuid4()}-deletes.parquet"
    path = Path(unquote(urlsplit(uri).path))
    parquet.write_table(rows.cast(pa.schema(fields)), path)
    ids = spark.sparkContext._gateway.new_array(jvm.int, len(known))
    for index, number in enumerate(known):
        ids[index] = number
    unpartitioned = jvm.org.apache.iceberg.PartitionSpec.unpartitioned()
    file = jvm.org.apache.iceberg.FileMetadata.deleteFileBuilder(unpartitioned).ofEqualityDeletes(ids)
    file = file.withPath(uri).withFormat("PARQUET").withFileSizeInBytes(path.stat().st_size)
    table.newRowDelta().addDeletes(file.withRecordCount(rows.num_rows).build()).commit()
