"""A step that spark-submit started, as the Spark operator does: master and executors are the submitter's."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from lakeloop.adapters.spark.jars import ensure_jars
from lakeloop.adapters.spark.java import java_home
from lakeloop.settings import Settings
from tests.integration.programs import run_program

pytestmark = pytest.mark.spark
PROGRAM = """
from lakeloop.adapters.spark.session import spark_session
from lakeloop.settings import Settings

with spark_session(Settings(), "submitted", rows=10) as spark:
    spark.sql("CREATE NAMESPACE lake.n")
    spark.range(10).writeTo("lake.n.t").create()
    print("master", spark.sparkContext.master, "rows", spark.table("lake.n.t").count())
"""


def test_a_submitted_step_takes_the_session_that_waits_for_it(tmp_path: Path) -> None:
    import pyspark

    program = tmp_path / "step.py"
    program.write_text(PROGRAM, encoding="utf-8")
    home = Path(pyspark.__file__).parent
    variables = {
        "LAKELOOP_HOME": str(tmp_path / "home"),
        "LAKELOOP_SPARK_MASTER": "k8s://https://not.asked",
        "JAVA_HOME": str(java_home()),
        "SPARK_HOME": str(home),
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
    }
    jars = os.pathsep.join(map(str, ensure_jars(Settings())))
    submit = [str(home / "bin" / "spark-submit"), "--master", "local[1]", "--driver-class-path", jars]
    assert "master local[1] rows 10" in run_program([*submit, str(program)], variables)
