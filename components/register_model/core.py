"""What a version depends on, and under which tags Iceberg keeps it."""

from __future__ import annotations

from dataclasses import dataclass

from lakeloop.domain.lineage import TrainingSet


@dataclass(frozen=True)
class Pin:
    """A snapshot that must not expire while the version is not retired."""

    table: str
    tag: str
    snapshot_id: str


def pins(model_name: str, version: str, training_set: TrainingSet) -> tuple[Pin, ...]:
    """The source table at the end of its range, and the feature table as it was read."""
    tag = f"lakeloop_{model_name}_v{version}"
    return (
        Pin(training_set.range.table, tag, training_set.range.to_snapshot_id),
        Pin(training_set.feature_table, tag, training_set.feature_snapshot_id),
    )
