"""Power cuts around every commit of the in-process engine, and of the steps after it: reruns end as a clean run."""

from __future__ import annotations

import pytest

from tests.faults.crash_matrix.matrix import FIRST, NEW_FEATURES, REJECTING, SECOND, Matrix, Rerun, both_sides
from tests.faults.crash_matrix.points import (
    FIRST_REFUSAL_IN_PROCESS,
    FIRST_RUN_IN_PROCESS,
    LATER_RUN,
    LATER_RUN_IN_PROCESS,
    NEW_FEATURE_IN_PROCESS,
    REFUSAL_IN_PROCESS,
    REJECTION,
)

pytestmark = [pytest.mark.crash, pytest.mark.timeout(3600)]

RERUNS: tuple[Rerun, ...] = ("resume", "new run")


def test_power_cuts_in_the_first_run_ever(matrix: Matrix) -> None:
    matrix.world.empty()
    matrix.world.offer(*FIRST)
    matrix.die_often([*both_sides(FIRST_RUN_IN_PROCESS)], "resume", "first")


def test_power_cuts_in_a_later_run(matrix: Matrix) -> None:
    matrix.world.offer(*SECOND)
    matrix.world.restore("first")
    matrix.die_often([*both_sides(LATER_RUN_IN_PROCESS)], "new run", "second")


@pytest.mark.parametrize("rerun", RERUNS)
def test_power_cuts_where_a_new_feature_widens_the_feature_table(matrix: Matrix, rerun: Rerun) -> None:
    matrix.prepare_from_first("wider", *SECOND, **NEW_FEATURES)
    matrix.die_often([*both_sides(NEW_FEATURE_IN_PROCESS)], rerun, "wider", **NEW_FEATURES)


def test_power_cuts_while_a_batch_is_refused(matrix: Matrix) -> None:
    matrix.prepare_from_first("refused", "batch0", "spoiled", code=2)
    matrix.die_often([*both_sides(REFUSAL_IN_PROCESS)], "resume", "refused", code=2)


def test_power_cuts_while_the_first_batch_is_refused(matrix: Matrix) -> None:
    matrix.prepare_from_nothing("refused first", "spoiled", code=2)
    matrix.die_often([*both_sides(FIRST_REFUSAL_IN_PROCESS)], "resume", "refused first", code=2)


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
