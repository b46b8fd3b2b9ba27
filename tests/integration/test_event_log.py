"""Spark's event log: kept where the settings say, with no secret in it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.integration.programs import run_program

pytestmark = pytest.mark.spark
SENTINEL = "s3ntinel-of-the-test"
PROGRAM = """
from lakeloop.adapters.spark.session import spark_session
from lakeloop.settings import Settings

with spark_session(Settings(), "logged job", rows=10) as spark:
    spark.range(10).selectExpr("count(*)").collect()
"""


def test_the_log_is_kept_without_secrets(tmp_path: Path) -> None:
    secrets = {
        "spark.hadoop.fs.s3a.secret.key": SENTINEL,
        "spark.hadoop.fs.s3a.access.key": SENTINEL,
        "spark.sql.catalog.other.jdbc.password": SENTINEL,
        "spark.sql.catalog.other.token": SENTINEL,
    }
    events = tmp_path / "kept" / "events"
    variables = {
        "LAKELOOP_HOME": str(tmp_path / "home"),
        "LAKELOOP_SPARK_MASTER": "local[1]",
        "LAKELOOP_SPARK_EVENT_LOG_URI": events.as_uri(),
        "LAKELOOP_SPARK_CONF": json.dumps({**secrets, "spark.eventLog.compress": "false"}),
    }
    run_program([sys.executable, "-c", PROGRAM], variables)
    (log,) = events.iterdir()
    text = log.read_text(encoding="utf-8")
    kinds = {json.loads(line)["Event"] for line in text.splitlines()}
    assert {"SparkListenerApplicationStart", "SparkListenerJobEnd", "SparkListenerApplicationEnd"} <= kinds
    assert "logged job" in text
    assert SENTINEL not in text
    assert "spark.hadoop.fs.s3a.secret.key" in text


def test_a_place_that_cannot_be_written_is_told_and_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from lakeloop.adapters.spark.event_log import event_log

    (tmp_path / "file").write_text("")
    with event_log((tmp_path / "file" / "below").as_uri()) as properties:
        folder = Path(properties["spark.eventLog.dir"].removeprefix("file://"))
        (folder / "local-1").write_text("{}")
    assert "warning: Spark's event log was not kept in file://" in capsys.readouterr().err
