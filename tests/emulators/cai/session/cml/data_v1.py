"""Data connections: Spark with the catalogs that the workbench configures (CAI_DATA_CONNECTIONS: JSON, by name)."""

from __future__ import annotations

import json
import os
from typing import Any


class _Connection:
    def __init__(self, properties: dict[str, str]) -> None:
        self._properties = properties

    def get_spark_session(self) -> Any:
        """A session as the platform configures it."""
        from pyspark.sql import SparkSession

        builder = SparkSession.builder.appName("data connection")
        for key, value in self._properties.items():
            builder = builder.config(key, value)
        return builder.getOrCreate()


def get_connection(name: str) -> _Connection:
    """The connection of this name."""
    known = json.loads(os.environ.get("CAI_DATA_CONNECTIONS", "{}"))
    if name not in known:
        raise ValueError(f"Data connection {name} not found in this project")
    return _Connection(known[name])
