"""An Iceberg snapshot range as an MLflow dataset: MLflow knows Delta and Spark tables, not Iceberg's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mlflow.data.dataset import Dataset
from mlflow.data.dataset_source import DatasetSource
from mlflow.entities import DatasetInput, InputTag
from mlflow.types import ColSpec, Schema

from lakeloop.domain.base import canonical_json, sha256_hex
from lakeloop.domain.features import FeatureEncoding
from lakeloop.domain.training import TrainedModel

if TYPE_CHECKING:
    from mlflow.entities import Dataset as DatasetEntity

SOURCE_TYPE = "iceberg"


class IcebergSource(DatasetSource):  # type: ignore[misc]
    """`(from, to]` of a table, and the feature table's snapshot that was read."""

    def __init__(self, description: dict[str, Any]) -> None:
        self.description = description

    @staticmethod
    def _get_source_type() -> str:
        return SOURCE_TYPE

    def load(self) -> dict[str, str]:
        """Spark's read options for the range; an engine reads the rows."""
        options = {"end-snapshot-id": self.description["to_snapshot_id"]}
        start = self.description["from_snapshot_id"]
        return options if start is None else {"start-snapshot-id": start, **options}

    @staticmethod
    def _can_resolve(raw_source: Any) -> bool:
        return isinstance(raw_source, dict) and "to_snapshot_id" in raw_source

    @classmethod
    def _resolve(cls, raw_source: Any) -> IcebergSource:
        return cls(raw_source)

    def to_dict(self) -> dict[str, Any]:
        """The description."""
        return self.description

    @classmethod
    def from_dict(cls, source_dict: dict[str, Any]) -> IcebergSource:
        """The inverse of `to_dict`."""
        return cls(source_dict)


class IcebergDataset(Dataset):  # type: ignore[misc]
    """The rows of one training."""

    def __init__(self, trained: TrainedModel, encoding: FeatureEncoding) -> None:
        training_set = trained.lineage.training_set
        self._trained, self._encoding = trained, encoding
        source = IcebergSource(
            {
                **training_set.range.model_dump(mode="json"),
                "snapshots": list(training_set.snapshots),
                "schema_id": training_set.schema_id,
                "feature_table": training_set.feature_table,
                "feature_table_uuid": training_set.feature_table_uuid,
                "feature_snapshot_id": training_set.feature_snapshot_id,
                "range_ids": list(training_set.range_ids),
            }
        )
        super().__init__(source=source, name=training_set.range.table)

    def _compute_digest(self) -> str:
        return sha256_hex(canonical_json(self.source.to_dict()))[:16]

    @property
    def profile(self) -> dict[str, int]:
        """Row counts."""
        training_set = self._trained.lineage.training_set
        return {
            "rows": training_set.rows,
            "newest_rows": training_set.newest_rows,
            "train_rows": self._trained.train_rows,
            "holdout_rows": self._trained.holdout_rows,
        }

    @property
    def schema(self) -> Schema:
        """Columns that a caller of the model sends."""
        types = {"categorical": "string", "numeric": "double"}
        return Schema([ColSpec(types[f.type], f.name, required=False) for f in self._encoding.features])

    def to_dict(self) -> dict[str, str]:
        """As MLflow stores a dataset."""
        return {
            **super().to_dict(),
            "schema": json.dumps({"mlflow_colspec": self.schema.to_dict()}),
            "profile": json.dumps(self.profile),
        }


def dataset_input(trained: TrainedModel, encoding: FeatureEncoding) -> DatasetInput:
    """The run's input."""
    dataset: DatasetEntity = IcebergDataset(trained, encoding)._to_mlflow_entity()  # noqa: SLF001 - what mlflow.log_input calls
    return DatasetInput(dataset, tags=[InputTag("mlflow.data.context", "training")])
