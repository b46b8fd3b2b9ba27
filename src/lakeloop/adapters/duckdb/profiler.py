"""A batch's profile: two passes over its files by DuckDB, one for the numbers and one for the histograms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.csv
import pyarrow.dataset as ds
from pyarrow import fs

from lakeloop.adapters.duckdb.profile_sql import histogram_sql, profile_of, statistics_sql, typed_sql
from lakeloop.domain.batch import Batch
from lakeloop.domain.errors import UserError
from lakeloop.domain.profile import Profile
from lakeloop.domain.use_case import FilesSource, UseCase


class DuckdbBatchProfiler:
    """Implements `lakeloop.ports.generator.BatchProfiler`."""

    def profile(self, use_case: UseCase, batch: Batch) -> Profile:
        """Numbers of every declared column that the files have."""
        try:
            rows = _dataset(use_case, batch)
            present = [c for c in use_case.table.columns if c in rows.schema.names]
            with duckdb.connect(":memory:", config={"enable_external_access": False}) as connection:
                connection.register("batch", rows)
                view = typed_sql(
                    use_case, present, texts=batch.format == "csv", nanoseconds=_nanoseconds(rows.schema)
                )
                return _profile(connection, use_case, batch, present, view)
        except (OSError, pa.ArrowInvalid, duckdb.Error) as error:
            reason = str(error).strip().splitlines()[0]
            raise UserError(
                f"cannot be read as {batch.format}: {reason}",
                where=", ".join(batch.files[:3]),
                fix="repair the file",
            ) from error


def _profile(
    connection: duckdb.DuckDBPyConnection, use_case: UseCase, batch: Batch, present: Sequence[str], view: str
) -> Profile:
    found = _one_row(connection, statistics_sql(use_case, present, view))
    bins = _one_row(connection, histogram_sql(use_case, present, view, found))
    return profile_of(use_case, batch, present, found, bins)


def _one_row(connection: duckdb.DuckDBPyConnection, sql: str) -> dict[str, Any]:
    result = connection.execute(sql)
    row = result.fetchone() or ()
    return dict(zip([d[0] for d in result.description or ()], row, strict=True))


def _nanoseconds(schema: pa.Schema) -> set[str]:
    return {f.name for f in schema if pa.types.is_timestamp(f.type) and f.type.tz and f.type.unit == "ns"}


def _dataset(use_case: UseCase, batch: Batch) -> ds.Dataset:
    filesystem, _ = fs.FileSystem.from_uri(batch.files[0])
    paths = [fs.FileSystem.from_uri(uri)[1] for uri in batch.files]
    return ds.dataset(paths, format=_format(use_case, batch), filesystem=filesystem)


def _format(use_case: UseCase, batch: Batch) -> Any:
    source = use_case.source
    if batch.format != "csv" or not isinstance(source, FilesSource):
        return batch.format
    return ds.CsvFileFormat(
        parse_options=pyarrow.csv.ParseOptions(delimiter=source.csv_delimiter, newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(use_case.table.columns, pa.string()),
            null_values=list(source.null_values),
            strings_can_be_null=True,
        ),
    )
