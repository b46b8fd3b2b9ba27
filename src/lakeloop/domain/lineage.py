"""The thread from an answer back to the exact snapshots behind it."""

from __future__ import annotations

from pydantic import Field

from lakeloop.domain.base import Frozen, canonical_json, sha256_hex
from lakeloop.domain.snapshots import SnapshotRange


class CodeIdentity(Frozen):
    """Which code and libraries made something."""

    git_commit: str = "unknown"
    image_digest: str = "embedded"
    libraries: dict[str, str] = Field(default_factory=dict)


class TrainingSet(Frozen):
    """Exactly the rows of one training (artifact `training_set` of build_training_set).

    Rows are those of `feature_table` at `feature_snapshot_id` whose `_range_id` is in `range_ids`; `newest_range_id`
    holds the holdout. Their total order is (event time, key).
    """

    use_case: str
    range: SnapshotRange
    snapshots: tuple[str, ...]
    schema_id: int | None
    feature_hash: str
    feature_table: str
    feature_table_uuid: str
    feature_snapshot_id: str
    range_ids: tuple[str, ...]
    newest_range_id: str
    rows: int
    newest_rows: int
    watermark_columns: tuple[tuple[int, str, str], ...] = ()
    window_from_snapshot_id: str | None = Field(
        default=None,
        description="Where the window's oldest range begins (exclusive); None: at the first row, or no earlier range.",
    )
    range_ends: tuple[str, ...] = Field(
        default=(),
        description="Where features look at earlier rows: the end of each of `range_ids`, up to which its rows saw.",
    )
    spark_seconds: float = 0.0

    @property
    def oldest_from_snapshot_id(self) -> str | None:
        """Exclusive start of all that was trained on; None: the first row."""
        return self.window_from_snapshot_id if len(self.range_ids) > 1 else self.range.from_snapshot_id


class Lineage(Frozen):
    """All that identifies a training; on the run, the version, the ledger and the endpoint."""

    run_key: str
    use_case: str
    use_case_digest: str
    training_set: TrainingSet
    code: CodeIdentity
    seed: int


def run_key(range_: SnapshotRange, use_case_digest: str, image_digest: str, seed: int) -> str:
    """Identity of a training, 20 hex digits: a retry finds the run, a changed input makes another."""
    value = [range_.model_dump(mode="json"), use_case_digest, image_digest, seed]
    return sha256_hex(canonical_json(value))[:20]
