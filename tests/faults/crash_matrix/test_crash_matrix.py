"""The crash matrix: a power cut right before and right after every commit to the outside, then a rerun.

`make crash-matrix` runs it and publishes the result in docs/reliability.md.
"""

from __future__ import annotations

import pytest

from tests.faults.crash_matrix.matrix import FIRST, REJECTING, SECOND, Matrix, Rerun, both_sides
from tests.faults.crash_matrix.points import (
    FIRST_RUN,
    LATER_RUN,
    LATER_RUN_IN_SPARK,
    REFUSAL,
    REJECTION,
    Point,
)

pytestmark = [pytest.mark.crash, pytest.mark.spark, pytest.mark.timeout(600)]

RERUNS: tuple[Rerun, ...] = ("resume", "new run")


def named(value: object) -> str | None:
    return value.name.replace(" ", "-") if isinstance(value, Point) else None


def test_power_cuts_at_every_point_of_the_first_run_ever(matrix: Matrix) -> None:
    matrix.world.empty()
    matrix.world.offer(*FIRST)
    matrix.die_often([*both_sides(FIRST_RUN)], "resume", "first")


def test_power_cuts_where_spark_commits_in_a_later_run(matrix: Matrix) -> None:
    matrix.world.offer(*SECOND)
    matrix.world.restore("first")
    matrix.die_often([*both_sides(LATER_RUN_IN_SPARK)], "new run", "second")


def test_power_cuts_while_a_batch_is_refused(matrix: Matrix) -> None:
    matrix.world.offer("batch0", "spoiled")
    matrix.world.restore("first")
    assert matrix.world.run().code == 2
    matrix.clean["refused"] = matrix.world.facts()
    matrix.world.restore("first")
    matrix.die_often([*both_sides(REFUSAL)], "resume", "refused", code=2)


@pytest.mark.parametrize("rerun", RERUNS)
@pytest.mark.parametrize(("point", "side"), [*both_sides(LATER_RUN)], ids=named)
def test_a_power_cut_in_a_later_run(matrix: Matrix, point: Point, side: str, rerun: Rerun) -> None:
    matrix.stop_before_each_step()
    matrix.die_once(point.step, point, side, rerun, "second")


@pytest.mark.parametrize("rerun", RERUNS)
@pytest.mark.parametrize("side", ["before", "after"])
def test_a_power_cut_around_a_rejection(matrix: Matrix, side: str, rerun: Rerun) -> None:
    if "rejected" not in matrix.clean:
        matrix.prepare_rejection()
    matrix.die_once("rejecting", REJECTION[0], side, rerun, "rejected", **REJECTING)
