"""Lineage as MLflow tags, the same on runs, logged models and versions."""

from __future__ import annotations

from typing import Any

from lakeloop.domain.lineage import Lineage

RUN_KEY = "lakeloop.run_key"
VERDICT = "lakeloop.verdict"
MAX_TAG_CHARACTERS = 4000


def lineage_tags(lineage: Lineage) -> dict[str, str]:
    """Tags, each at most `MAX_TAG_CHARACTERS` long; the whole lineage is in the run's training.json."""
    training_set, range_ = lineage.training_set, lineage.training_set.range
    values: dict[str, Any] = {
        "run_key": lineage.run_key,
        "use_case": lineage.use_case,
        "use_case_digest": lineage.use_case_digest,
        "table": range_.table,
        "table_uuid": range_.table_uuid,
        "from_snapshot_id": range_.from_snapshot_id or "",
        "to_snapshot_id": range_.to_snapshot_id,
        "snapshots": ",".join(training_set.snapshots),
        "schema_id": training_set.schema_id,
        "feature_hash": training_set.feature_hash,
        "feature_table": training_set.feature_table,
        "feature_snapshot_id": training_set.feature_snapshot_id,
        "range_ids": ",".join(training_set.range_ids),
        "git_commit": lineage.code.git_commit,
        "image_digest": lineage.code.image_digest,
        "seed": lineage.seed,
    }
    values |= {f"library.{name}": number for name, number in lineage.code.libraries.items()}
    return {f"lakeloop.{name}": shortened(str(value)) for name, value in values.items()}


def shortened(text: str) -> str:
    """At most `MAX_TAG_CHARACTERS`, with an ellipsis where it was longer."""
    return text if len(text) <= MAX_TAG_CHARACTERS else text[: MAX_TAG_CHARACTERS - 1] + "…"
