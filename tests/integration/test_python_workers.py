"""How Spark's tasks and their Python workers start on one machine: on all cores, with nothing slow on their path."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pyarrow as pa
import pytest

from lakeloop.adapters.spark import feature_rows as spark_feature_rows
from lakeloop.domain.feature_table import feature_table
from lakeloop.use_case_files import load_use_case
from tests.integration.conftest import SparkLake

pytestmark = pytest.mark.spark


def test_a_worker_has_no_archive_on_its_path(spark_lake: SparkLake) -> None:
    """Python would read its directory at every task."""

    def path_of_worker(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield from (pa.RecordBatch.from_pydict({"entry": sys.path}) for _ in batches)

    told = spark_lake.spark.range(1).mapInArrow(path_of_worker, "entry string").toArrow()
    entries = told.column("entry").to_pylist()
    assert entries
    assert not [entry for entry in entries if Path(entry).is_file()]


def test_few_rows_of_one_entity_are_read_by_as_many_tasks_as_asked_for(spark_lake: SparkLake) -> None:
    use_case = load_use_case("loans")
    columns = {
        name: "date" if name.endswith("_date") else kind for name, kind in use_case.table.columns.items()
    }
    schema = ", ".join(f"{name} {kind}" for name, kind in columns.items())
    loans = spark_lake.spark.createDataFrame([], schema)
    with mock.patch.object(spark_feature_rows, "TASK_ROWS", 300):
        rows = spark_feature_rows.feature_rows(loans, feature_table(use_case, columns), "r", None, 1000)
    assert rows.rdd.getNumPartitions() == 4
