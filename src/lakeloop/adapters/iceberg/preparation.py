"""The tables of a SQL catalog, made before two first users could collide in making them."""

from __future__ import annotations

from lakeloop.adapters.iceberg.catalog import LAYOUT, create_embedded, is_embedded, place, reachable
from lakeloop.settings import Settings


def prepare_catalog(settings: Settings) -> str:
    """Make the catalog's own tables where it is a SQL database; other catalogs are asked whether they answer.

    Returns:
        Where the catalog is, without credentials.

    Raises:
        LakeloopError: it cannot be reached.
    """
    if is_embedded(settings):
        create_embedded(settings)
    elif settings.iceberg_catalog.get("type") == "sql":
        _create_layout(settings)
    else:
        from lakeloop.adapters.iceberg.catalog import open_catalog

        with reachable(settings):
            open_catalog(settings).list_namespaces()
    return place(settings)


def _create_layout(settings: Settings) -> None:
    with reachable(settings):
        from sqlalchemy import create_engine, text

        engine = create_engine(settings.iceberg_catalog["uri"])
        with engine.begin() as connection:
            for statement in filter(str.strip, LAYOUT.split(";")):
                connection.execute(text(statement))
        engine.dispose()
