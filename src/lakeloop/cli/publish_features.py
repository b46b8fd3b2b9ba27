"""`lakeloop publish-features`."""

from __future__ import annotations

import typer

from lakeloop.cli.options import Json, UseCaseArgument


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("publish-features")(publish_features)


def publish_features(use_case: UseCaseArgument, json: Json = False) -> None:
    """Bring the newest features of each entity into the online store.

    The features API (`python -m lakeloop.serving.features`) and predictions by id read them there. They come from
    the feature table as the last run left it; the same features again change nothing.

    \b
      lakeloop publish-features loans
    """  # noqa: D301 - \b is typer's mark for a block that keeps its lines
    from lakeloop import bootstrap
    from lakeloop.cli import output
    from lakeloop.publishing import publish_features as publish
    from lakeloop.settings import Settings
    from lakeloop.use_case_files import load_use_case

    made = publish(bootstrap.feature_places(Settings()), load_use_case(use_case))
    if json:
        output.as_json({"published": made.published, **made.version.model_dump(mode="json")})
        return
    done = "published" if made.published else "already published"
    output.data(
        f"{done}: features of snapshot {made.version.source_snapshot_id}, by {', '.join(made.version.entity)}"
    )
