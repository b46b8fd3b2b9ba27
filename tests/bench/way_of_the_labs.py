"""The labs' way: the increment through Spark's `toPandas()`, then `XGBClassifier.fit`."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from lakeloop.adapters.spark.session import spark_session
from lakeloop.domain.plan import Plan
from lakeloop.domain.use_case import UseCase
from tests.bench.tables import settings_in

# So that five million collected rows fit at all: the labs' defaults would end in an error.
ROOM = {"spark.driver.memory": "12g", "spark.driver.maxResultSize": "0"}


def main(folder: Path) -> None:
    """Print where the seconds went."""
    settings = settings_in(folder).model_copy(update={"spark_conf": ROOM})
    use_case = UseCase.model_validate_json((folder / "use_case.json").read_text())
    plan = Plan.model_validate_json((folder / "plan.json").read_text())
    assert plan.range is not None
    started = time.monotonic()
    with spark_session(settings, "labs") as spark:
        arrow = spark.conf.get("spark.sql.execution.arrow.pyspark.enabled")
        reader = spark.read.format("iceberg").option("start-snapshot-id", plan.range.from_snapshot_id)
        reader = reader.option("end-snapshot-id", plan.range.to_snapshot_id)
        frame = reader.load(f"{settings.catalog_name}.{use_case.table.name}").toPandas()
    collected = time.monotonic()
    from sklearn.model_selection import train_test_split
    from xgboost import XGBClassifier

    features = frame[[f.name for f in use_case.features]]
    x, _, y, _ = train_test_split(features, frame[use_case.label.column], test_size=0.2, random_state=42)
    XGBClassifier(eval_metric="logloss").fit(x, y)
    seconds = {"toPandas": collected - started, "split and fit": time.monotonic() - collected}
    print(
        json.dumps(
            {name: round(value, 1) for name, value in seconds.items()} | {"rows": len(frame), "arrow": arrow}
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
