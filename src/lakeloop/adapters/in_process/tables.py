"""Tables made and written by pyiceberg: types, partitions, and what it cannot do."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from lakeloop.adapters.iceberg.catalog import reachable
from lakeloop.adapters.iceberg.lake import IcebergLake
from lakeloop.domain.errors import ConflictError, LakeloopError
from lakeloop.domain.partitions import transform_of
from lakeloop.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.schema import Schema
    from pyiceberg.table import Table

PROPERTIES = {"format-version": "2", "write.parquet.compression-codec": "zstd"}
_KINDS = {"year", "month", "day", "hour", "identity", "void"}
_BY_ICEBERG = {"bigint": "long", "timestamp": "timestamptz", "timestamp_ntz": "timestamp"}
_WITH_RUST = {"bucket", "truncate"}


class NotInProcessError(LakeloopError):
    """This engine cannot do it, and has done nothing: Spark can."""


def iceberg_type(kind: str) -> Any:
    """An Iceberg type by its name in Spark's SQL, or by its own."""
    from pyiceberg.schema import Schema

    named = _BY_ICEBERG.get(kind, kind)
    field = {"id": 1, "name": "x", "type": named, "required": False}
    return Schema.model_validate({"type": "struct", "fields": [field]}).fields[0].field_type


def create_table(  # noqa: PLR0913, PLR0917 - what a table is
    settings: Settings,
    lake: IcebergLake,
    name: str,
    columns: dict[str, str],
    partition_by: tuple[str, ...],
    properties: Mapping[str, str] | None = None,
) -> None:
    """Namespace and table, as `lakeloop.adapters.spark.sql.create_table` makes them, unless they are there.

    Raises:
        NotInProcessError: pyiceberg cannot write with such partitions.
    """
    from pyiceberg.exceptions import TableAlreadyExistsError
    from pyiceberg.schema import Schema
    from pyiceberg.types import NestedField

    fields = [
        NestedField(i, column, iceberg_type(kind), required=False)
        for i, (column, kind) in enumerate(columns.items(), start=1)
    ]
    schema = Schema(*fields)
    spec, properties = _spec(schema, partition_by), {**PROPERTIES, **(properties or {})}
    with reachable(settings):
        try:
            lake.catalog.create_namespace_if_not_exists(name.rpartition(".")[0])
            lake.catalog.create_table(
                name, schema, partition_spec=spec, properties={**PROPERTIES, **(properties or {})}
            )
        except TableAlreadyExistsError:
            return


def add_columns(settings: Settings, table: Table, columns: Mapping[str, str]) -> None:
    """Columns at the table's end, in one commit; `table` has them then.

    Raises:
        ConflictError: somebody else changed the table meanwhile.
    """
    from pyiceberg.exceptions import CommitFailedException

    with reachable(settings):
        try:
            with table.update_schema() as update:
                for column, kind in columns.items():
                    update.add_column(column, iceberg_type(kind))
        except CommitFailedException as error:
            raise ConflictError(
                "the table changed while columns were added",
                where=".".join(table.name()),
                fix="run the step again",
            ) from error


def check_writable(table: Table) -> None:
    """Whether pyiceberg writes this table as its own writers would.

    Raises:
        NotInProcessError: it does not; says why.
    """
    kinds = [str(field.transform).partition("[")[0] for field in table.spec().fields]
    for kind in kinds:
        _check_transform(kind, ".".join(table.name()))
    if table.metadata.format_version > 2:  # noqa: PLR2004 - what pyiceberg writes
        raise NotInProcessError(f"a table of format version {table.metadata.format_version}")


def arrow_schema(table: Table) -> pa.Schema:
    """The table's current columns in Arrow's types."""
    from pyiceberg.io.pyarrow import schema_to_pyarrow

    schema: pa.Schema = schema_to_pyarrow(table.schema(), include_field_ids=False)
    return schema


def _spec(schema: Schema, partition_by: tuple[str, ...]) -> Any:
    from pyiceberg.partitioning import PartitionField, PartitionSpec
    from pyiceberg.transforms import parse_transform

    fields = []
    for number, text in enumerate(partition_by):
        asked = transform_of(text)
        _check_transform(asked.kind, text)
        source = schema.find_field(asked.column).field_id
        named = asked.kind if asked.width is None else f"{asked.kind}[{asked.width}]"
        transform: Any = parse_transform(named)
        label = asked.column if asked.kind == "identity" else f"{asked.column}_{asked.kind}"
        fields.append(PartitionField(source, 1000 + number, transform, label))
    return PartitionSpec(*fields)


def _check_transform(kind: str, where: str) -> None:
    if kind in _WITH_RUST and find_spec("pyiceberg_core") is None:
        raise NotInProcessError(f"pyiceberg cannot write the partition transform {kind} here", where=where)
    if kind not in _WITH_RUST | _KINDS:
        raise NotInProcessError(f"pyiceberg does not know the partition transform {kind}", where=where)
