"""Bring the newest features of each entity into the online store; the same features again are a no-op."""

from components.publish_features import core
from lakeloop import bootstrap
from lakeloop.publishing import publish_features
from lakeloop.runtime.step import Step, progress, run_step


def body(step: Step) -> None:
    """Leave which version is served; as a part of another pipeline, nothing where nobody looks features up."""
    settings = step.settings
    known = bool(settings.online_store_uri) or settings.journal.startswith("file:")
    left_out = core.why_left_out(step.use_case, step.arguments["optional"], store_known=known)
    if left_out:
        step.write("published_path", "{}")
        progress(f"nothing to publish: {left_out}")
        return
    made = publish_features(bootstrap.feature_places(step.settings), step.use_case)
    step.write("published_path", made.version)
    step.publish(
        "published",
        {
            "snapshot_id": made.version.source_snapshot_id,
            "feature_snapshot_id": made.version.feature_snapshot_id,
            "feature_hash": made.version.feature_hash,
        },
    )
    progress(core.told(made.version, made.published))


if __name__ == "__main__":
    run_step("publish_features", ["optional", "published_path"], body)
