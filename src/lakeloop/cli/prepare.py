"""`lakeloop prepare`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from lakeloop.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(prepare)


def prepare() -> None:
    """Make what the settings name and is not there yet: buckets, and the catalog's own tables.

    A cluster's Job runs it once, before the first run; again is a no-op. Nothing that exists is changed.

    \b
      lakeloop prepare
    """  # noqa: D301 - \b is typer's mark for a block that keeps its lines
    from lakeloop.adapters.files.buckets import bucket_of, ensure_bucket
    from lakeloop.adapters.iceberg.preparation import prepare_catalog
    from lakeloop.settings import Settings

    settings = Settings()
    for bucket in sorted({b for b in map(bucket_of, _places(settings)) if b}):
        made = ensure_bucket(bucket)
        print(f"bucket {bucket}: {'made' if made else 'is there'}")  # noqa: T201
    print(f"catalog {prepare_catalog(settings)}: answers, with its tables")  # noqa: T201


def _places(settings: Settings) -> tuple[str, ...]:
    return settings.warehouse, settings.staging, settings.journal
