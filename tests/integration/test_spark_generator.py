"""A large batch is made on executors, and is the batch that this process would have made."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pyarrow.parquet as pq
import pytest

from lakeloop.adapters.files.generator import FileBatchGenerator
from lakeloop.adapters.spark.generator import SparkBatchGenerator
from lakeloop.domain.batch import Batch, BatchOptions, Plants
from lakeloop.generation import parts
from lakeloop.settings import Settings
from lakeloop.use_case_files.loading import load_use_case
from tests.integration.conftest import SparkLake

USE_CASE = load_use_case(str(Path(__file__).parents[2] / "conf" / "use_cases" / "cell_towers.yaml"))


def paths(batch: Batch) -> list[Path]:
    return [Path(unquote(urlsplit(uri).path)) for uri in batch.files]


@pytest.mark.spark
def test_spark_writes_the_very_files_that_this_process_writes(
    spark_lake: SparkLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "ROWS_PER_FILE", 3000)
    plants = Plants(drift={"iot_signal_1": 1.0}, nulls={"iot_signal_4": 0.1}, duplicates=0.2)
    options = BatchOptions(rows=7000, plants=plants)
    here = FileBatchGenerator(Settings(home=tmp_path)).generate(USE_CASE, 3, options)
    there = SparkBatchGenerator(spark_lake.settings, spark_lake.spark).generate(USE_CASE, 3, options)
    assert there.batch_id == here.batch_id
    assert there.rows == here.rows == 7000
    assert [p.name for p in paths(there)] == [p.name for p in paths(here)]
    assert [p.read_bytes() for p in paths(there)] == [p.read_bytes() for p in paths(here)]
    assert sum(pq.read_metadata(p).num_rows for p in paths(there)) == 7000
