"""Spark from a data connection of the workbench: its catalogs, lakeloop's time zone and arithmetic."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from lakeloop.adapters.spark.session import spark_properties, spark_session
from lakeloop.domain.errors import LakeloopError, UserError
from lakeloop.settings import Settings
from tests.integration.programs import run_program

SESSION = Path(__file__).parents[2] / "emulators" / "cai" / "session"
PROGRAM = """
from lakeloop.adapters.spark.failures import spark_failures
from lakeloop.adapters.spark.session import spark_session
from lakeloop.settings import Settings

with spark_session(Settings(), "x") as spark:
    spark.sql("CREATE NAMESPACE lake.bank")
    spark.sql("CREATE TABLE lake.bank.t (at TIMESTAMP) USING iceberg")
    spark.sql("INSERT INTO lake.bank.t VALUES (TIMESTAMP '2025-01-01 00:00:00')")
    (row,) = spark.sql("SELECT unix_seconds(at) AS s FROM lake.bank.t").collect()
    print("seconds", row["s"])
    try:
        spark.sql("SELECT 1 / 0").collect()
    except spark_failures() as error:
        print(error)
"""


def test_outside_a_workbench_the_error_says_so(tmp_path: Path) -> None:
    session = spark_session(Settings(home=tmp_path, spark_connection="lake"), "x")
    with pytest.raises(UserError, match="only inside a Cloudera AI workbench"), session:
        pass


def test_an_unknown_connection_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SESSION))
    session = spark_session(Settings(home=tmp_path, spark_connection="lake"), "x")
    with pytest.raises(LakeloopError, match="data connection lake: no Spark session"), session:
        pass
    for name in [n for n in sys.modules if n.partition(".")[0] == "cml"]:
        del sys.modules[name]


@pytest.mark.spark
def test_the_connections_session_has_its_catalogs_and_lakeloops_semantics(tmp_path: Path) -> None:
    properties = spark_properties(Settings(home=tmp_path), 1000, {})
    properties |= {"spark.sql.session.timeZone": "America/Los_Angeles", "spark.sql.ansi.enabled": "false"}
    variables = {
        "LAKELOOP_HOME": str(tmp_path),
        "LAKELOOP_SPARK_CONNECTION": "lake",
        "CAI_DATA_CONNECTIONS": json.dumps({"lake": properties}),
        "PYTHONPATH": str(SESSION),
    }
    printed = run_program([sys.executable, "-c", PROGRAM], variables)
    assert "seconds 1735689600" in printed
    assert "DIVIDE_BY_ZERO" in printed
