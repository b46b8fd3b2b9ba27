"""Refs, properties and expiry of format version 3 tables through pyiceberg, which reads their metadata but writes none.

What pyiceberg would write is put onto the document as its last writer left it: nothing that pyiceberg does not know,
such as row lineage or default values, is lost. A change of anything else is left to Spark.
"""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.io import FileIO

_MERGED = ("refs", "properties", "last-updated-ms", "metadata-log", "snapshot-log")
_OF_SNAPSHOTS = ("statistics", "partition-statistics")
_SAME = ("current-snapshot-id", "current-schema-id", "default-spec-id", "default-sort-order-id", "location")


def metadata_document(metadata: Any) -> dict[str, Any]:
    """A table's metadata as pyiceberg knows it, as JSON values, of any format version."""
    from pyiceberg.typedef import IcebergBaseModel

    value: dict[str, Any] = json.loads(IcebergBaseModel.model_dump_json(metadata, by_alias=True))
    return value


def merged(base: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """The document with other refs, properties and logs, and without the snapshots that are gone.

    Args:
        base: as its last writer left it.
        wanted: as pyiceberg wants it.

    Raises:
        NotImplementedError: anything else changed.
    """
    kept = {s["snapshot-id"] for s in wanted.get("snapshots", ())}
    known = {s["snapshot-id"] for s in base.get("snapshots") or ()}
    if not kept <= known or any(base.get(key) != wanted.get(key) for key in _SAME):
        raise NotImplementedError("pyiceberg cannot change a table of format version 3 so: Spark can")
    made = {**base, **{key: wanted[key] for key in _MERGED if key in wanted}}
    made["snapshots"] = [s for s in base.get("snapshots") or () if s["snapshot-id"] in kept]
    for key in _OF_SNAPSHOTS:
        if base.get(key):
            made[key] = [item for item in base[key] if item["snapshot-id"] in kept]
    return made


def write_version_3(catalog: Catalog) -> None:
    """Let a catalog whose metadata files pyiceberg itself writes (SQL, Hive, Glue) commit changes as above."""
    from pyiceberg.catalog import MetastoreCatalog
    from pyiceberg.serializers import ToOutputFile

    if not isinstance(catalog, MetastoreCatalog):
        return  # a REST catalog's server writes

    def write(metadata: Any, io: FileIO, metadata_path: str) -> None:
        if metadata.format_version < 3:  # noqa: PLR2004 - what pyiceberg writes by itself
            ToOutputFile.table_metadata(metadata, io.new_output(metadata_path))
            return
        base = _read(io, metadata.metadata_log[-1].metadata_file)
        text = json.dumps(merged(base, metadata_document(metadata)))
        with io.new_output(metadata_path).create() as file:
            file.write(text.encode())

    vars(catalog)["_write_metadata"] = write


def _read(io: FileIO, location: str) -> dict[str, Any]:
    with io.new_input(location).open() as file:
        content = file.read()
    if location.endswith((".gz.metadata.json", ".metadata.json.gz")):
        content = gzip.decompress(content)
    value: dict[str, Any] = json.loads(content)
    return value
