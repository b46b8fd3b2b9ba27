"""One Spark session on one embedded lake for all integration tests; each test takes its own namespace."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lakeloop.adapters.iceberg.lake import IcebergLake
from lakeloop.settings import Settings

_NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class SparkLake:
    """The shared session, and where it works."""

    spark: Any
    settings: Settings

    @property
    def lake(self) -> IcebergLake:
        return IcebergLake(self.settings)

    def sql(self, text: str) -> list[Any]:
        rows: list[Any] = self.spark.sql(text).collect()
        return rows


@pytest.fixture(scope="session")
def spark_lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkLake]:
    from lakeloop.adapters.spark.session import spark_session

    home: Path = tmp_path_factory.mktemp("lake")
    settings = Settings(home=home, spark_master="local[2]")
    with spark_session(settings, "lakeloop tests", rows=1000) as spark:
        yield SparkLake(spark, settings)


@pytest.fixture
def fresh_namespace() -> Callable[[], str]:
    """Names that no other test uses."""
    return lambda: f"ns{next(_NUMBERS)}"
