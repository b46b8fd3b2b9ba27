"""build_training_set and train_model's work on one increment, in one process."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from lakeloop.runtime import light_xgboost  # noqa: F401 - before xgboost

# isort: split
from components.train_model import core
from lakeloop.adapters.iceberg.lake import IcebergLake
from lakeloop.bootstrap import feature_builder
from lakeloop.domain.feature_rows import layout_of
from lakeloop.domain.plan import Plan
from lakeloop.domain.use_case import UseCase
from tests.bench.tables import settings_in


def main(folder: Path) -> None:
    """Print where the seconds went."""
    settings = settings_in(folder)
    use_case = UseCase.model_validate_json((folder / "use_case.json").read_text())
    plan = Plan.model_validate_json((folder / "plan.json").read_text())
    told = list[str]()
    started, lake = time.monotonic(), IcebergLake(settings)
    training_set = feature_builder(settings, told.append).build(use_case, plan)
    built = time.monotonic()
    batches = lake.read_batches(
        training_set.feature_table,
        training_set.feature_snapshot_id,
        columns=layout_of(use_case, training_set).columns,
        range_ids=training_set.range_ids,
    )
    made = core.train(use_case, training_set, batches, raw_columns={})
    ended = time.monotonic()
    seconds = {"features": built - started, "reading": ended - built - made.seconds, "training": made.seconds}
    rounded = {name: round(value, 1) for name, value in seconds.items()}
    print(json.dumps(rounded | {"rows": training_set.rows, "engine": told}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
