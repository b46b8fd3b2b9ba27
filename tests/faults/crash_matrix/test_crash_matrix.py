"""The crash matrix: a power cut right before and right after every commit to the outside, then a rerun.

`make crash-matrix` runs it and publishes the result in docs/reliability.md.
"""

from __future__ import annotations

import pytest

from tests.faults.crash_matrix.matrix import FIRST, NEW_FEATURES, REJECTING, SECOND, Matrix, Rerun, both_sides
from tests.faults.crash_matrix.points import (
    FIRST_REFUSAL,
    FIRST_RUN,
    LATER_RUN,
    LATER_RUN_IN_SPARK,
    NEW_FEATURE,
    REFUSAL,
    REJECTION,
)

pytestmark = [pytest.mark.crash, pytest.mark.spark, pytest.mark.timeout(900)]

RERUNS: tuple[Rerun, ...] = ("resume", "new run")


def test_power_cuts_at_every_point_of_the_first_run_ever(matrix: Matrix) -> None:
    matrix.world.empty()
    matrix.world.offer(*FIRST)
    matrix.die_often([*both_sides(FIRST_RUN)], "resume", "first")


def test_power_cuts_where_spark_commits_in_a_later_run(matrix: Matrix) -> None:
    matrix.world.offer(*SECOND)
    matrix.world.restore("first")
    matrix.die_often([*both_sides(LATER_RUN_IN_SPARK)], "new run", "second")


def test_power_cuts_where_a_new_feature_widens_the_feature_table(matrix: Matrix) -> None:
    matrix.prepare_from_first("wider", *SECOND, **NEW_FEATURES)
    matrix.die_often([*both_sides(NEW_FEATURE)], "new run", "wider", **NEW_FEATURES)


def test_power_cuts_while_a_batch_is_refused(matrix: Matrix) -> None:
    matrix.prepare_from_first("refused", "batch0", "spoiled", code=2)
    matrix.die_often([*both_sides(REFUSAL)], "resume", "refused", code=2)


def test_power_cuts_while_the_first_batch_is_refused(matrix: Matrix) -> None:
    matrix.prepare_from_nothing("refused first", "spoiled", code=2)
    matrix.die_often([*both_sides(FIRST_REFUSAL)], "resume", "refused first", code=2)


@pytest.mark.parametrize("rerun", RERUNS)
@pytest.mark.parametrize("step", dict.fromkeys(point.step for point in LATER_RUN))
def test_power_cuts_in_a_step_of_a_later_run(matrix: Matrix, step: str, rerun: Rerun) -> None:
    matrix.stop_before_each_step()
    points = [point for point in LATER_RUN if point.step == step]
    matrix.die_in_chain(lambda: matrix.at_step(step), [*both_sides(points)], rerun)


@pytest.mark.parametrize("rerun", RERUNS)
def test_power_cuts_around_a_rejection(matrix: Matrix, rerun: Rerun) -> None:
    if "rejected" not in matrix.clean:
        matrix.prepare_rejection()
    matrix.die_in_chain(
        lambda: matrix.at_step("rejecting", "rejected", **REJECTING), [*both_sides(REJECTION)], rerun
    )
