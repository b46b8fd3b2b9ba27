"""The crash matrix where Spark commits: a power cut right before and right after, then a rerun.

`make crash-matrix` runs it and publishes the result in docs/reliability.md.
"""

from __future__ import annotations

import pytest

from tests.faults.crash_matrix.matrix import FIRST, NEW_FEATURES, SECOND, Matrix, both_sides
from tests.faults.crash_matrix.points import (
    FIRST_REFUSAL,
    FIRST_RUN,
    LATER_RUN_IN_SPARK,
    NEW_FEATURE,
    REFUSAL,
)

pytestmark = [pytest.mark.crash, pytest.mark.spark, pytest.mark.timeout(3600)]


def test_power_cuts_at_every_point_of_the_first_run_ever(spark: Matrix) -> None:
    spark.world.empty()
    spark.world.offer(*FIRST)
    spark.die_often([*both_sides(FIRST_RUN)], "resume", "first")


def test_power_cuts_where_spark_commits_in_a_later_run(spark: Matrix) -> None:
    spark.world.offer(*SECOND)
    spark.world.restore("first")
    spark.die_often([*both_sides(LATER_RUN_IN_SPARK)], "new run", "second")


def test_power_cuts_where_a_new_feature_widens_the_feature_table(spark: Matrix) -> None:
    spark.prepare_from_first("wider", *SECOND, **NEW_FEATURES)
    spark.die_often([*both_sides(NEW_FEATURE)], "new run", "wider", **NEW_FEATURES)


def test_power_cuts_while_a_batch_is_refused(spark: Matrix) -> None:
    spark.prepare_from_first("refused", "batch0", "spoiled", code=2)
    spark.die_often([*both_sides(REFUSAL)], "resume", "refused", code=2)


def test_power_cuts_while_the_first_batch_is_refused(spark: Matrix) -> None:
    spark.prepare_from_nothing("refused first", "spoiled", code=2)
    spark.die_often([*both_sides(FIRST_REFUSAL)], "resume", "refused first", code=2)
