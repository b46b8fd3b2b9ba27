"""The Iceberg catalog: pyiceberg's, or the embedded SQLite file that Spark's JdbcCatalog shares.

The embedded file has the layout of JdbcCatalog's schema version V1 (Java: `org.apache.iceberg.jdbc.JdbcUtil`;
pyiceberg: `SqlCatalog`). Looking up a table in it needs no more than SQLite, which keeps the planner's cold
start well below that of pyiceberg's import.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from lakeloop.domain.errors import LakeloopError
from lakeloop.settings import Settings

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog

BUSY_TIMEOUT_SECONDS = 30

# Both libraries create these tables when they are absent, but not atomically: two first users would collide.
LAYOUT = """
CREATE TABLE IF NOT EXISTS iceberg_tables (
    catalog_name VARCHAR(255) NOT NULL, table_namespace VARCHAR(255) NOT NULL,
    table_name VARCHAR(255) NOT NULL, metadata_location VARCHAR(1000),
    previous_metadata_location VARCHAR(1000), iceberg_type VARCHAR(5),
    PRIMARY KEY (catalog_name, table_namespace, table_name));
CREATE TABLE IF NOT EXISTS iceberg_namespace_properties (
    catalog_name VARCHAR(255) NOT NULL, namespace VARCHAR(255) NOT NULL, property_key VARCHAR(255) NOT NULL,
    property_value VARCHAR(1000), PRIMARY KEY (catalog_name, namespace, property_key));
"""


# The file of a first user who has not come to its tables yet holds no table of ours.
_HAS_TABLES = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'iceberg_tables'"


def is_embedded(settings: Settings) -> bool:
    """Whether the catalog is the SQLite file below `home`."""
    return not settings.iceberg_catalog


def open_catalog(settings: Settings) -> Catalog:
    """The catalog by pyiceberg; makes the embedded one's folders and file on first use.

    Raises:
        LakeloopError: it cannot be reached.
    """
    with reachable(settings):
        from pyiceberg.catalog import load_catalog

        from lakeloop.adapters.iceberg.v3_metadata import write_version_3

        if is_embedded(settings):
            create_embedded(settings)
        properties = embedded_properties(settings) if is_embedded(settings) else settings.iceberg_catalog
        catalog = load_catalog(settings.catalog_name, **properties)
        write_version_3(catalog)
        return catalog


def embedded_properties(settings: Settings) -> dict[str, str]:
    """The properties of pyiceberg for the embedded catalog."""
    return {
        "type": "sql",
        "uri": f"sqlite:///{settings.embedded_catalog_path}?timeout={BUSY_TIMEOUT_SECONDS}",
        "warehouse": settings.warehouse,
    }


def create_embedded(settings: Settings) -> None:
    """Make the home folder, the local warehouse folder and the catalog file; what exists stays as it is."""
    path = settings.embedded_catalog_path
    path.parent.mkdir(parents=True, exist_ok=True)
    if not settings.warehouse_uri:
        (settings.root / "warehouse").mkdir(exist_ok=True)
    with closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_SECONDS)) as connection:
        connection.executescript(LAYOUT)


def embedded_metadata_location(settings: Settings, table: str) -> str | None:
    """URI of a table's current metadata file in the embedded catalog; None where there is no such table.

    Raises:
        LakeloopError: the catalog file cannot be read.
    """
    path = settings.embedded_catalog_path
    if not path.exists():
        return None
    namespace, _, name = table.rpartition(".")
    query = (
        "SELECT metadata_location FROM iceberg_tables WHERE catalog_name = ? AND table_namespace = ? "
        "AND table_name = ? AND (iceberg_type IS NULL OR iceberg_type = 'TABLE')"
    )
    with (
        reachable(settings),
        closing(
            sqlite3.connect(f"{path.as_uri()}?mode=ro", timeout=BUSY_TIMEOUT_SECONDS, uri=True)
        ) as connection,
    ):
        if not connection.execute(_HAS_TABLES).fetchone():
            return None
        row = connection.execute(query, (settings.catalog_name, namespace, name)).fetchone()
    return row[0] if row else None


@contextmanager
def reachable(settings: Settings) -> Iterator[None]:
    """Turn what the catalog's drivers raise into one clear error."""
    try:
        yield
    except Exception as error:
        if not _from_the_catalog(error):
            raise
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise LakeloopError(
            f"the Iceberg catalog does not answer: {text}",
            where=place(settings),
            fix="see that it runs and that LAKELOOP_ICEBERG_CATALOG (or LAKELOOP_HOME) names the right one",
        ) from error


def _from_the_catalog(error: Exception) -> bool:
    # By module name: importing every driver's exceptions would cost more than the call itself.
    modules = {cls.__module__.partition(".")[0] for cls in type(error).__mro__}
    rest = type(error).__module__ == "pyiceberg.exceptions" and type(error).__name__ in _REST_FAILURES
    return rest or bool(modules & {"sqlite3", "sqlalchemy", "requests", "urllib3", "thrift"})


_REST_FAILURES = {
    "AuthorizationExpiredError",
    "ForbiddenError",
    "OAuthError",
    "RESTError",
    "ServerError",
    "ServiceUnavailableError",
    "UnauthorizedError",
}


def place(settings: Settings) -> str:
    """Where the catalog is, without credentials."""
    if is_embedded(settings):
        return str(settings.embedded_catalog_path)
    uri = urlsplit(settings.iceberg_catalog.get("uri", ""))
    host = uri.netloc.rpartition("@")[2]
    return f"{uri.scheme}://{host}{uri.path}" if uri.scheme else settings.catalog_name
