"""Power cuts around every commit of the in-process engine: reruns end as a clean run, whoever goes on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.crash_matrix.matrix import FIRST, SECOND, Matrix, both_sides
from tests.faults.crash_matrix.points import FIRST_RUN_IN_PROCESS, LATER_RUN_IN_PROCESS, REFUSAL_IN_PROCESS
from tests.faults.crash_matrix.world import World

pytestmark = [pytest.mark.crash, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Matrix]:
    world = World(tmp_path_factory.mktemp("in_process"), engine="local")
    matrix = Matrix(world)
    try:
        for name, files in (("first", FIRST), ("second", SECOND)):
            world.offer(*files)
            ended = world.run()
            assert ended.code == 0, ended.output
            matrix.clean[name] = world.facts()
            if name == "first":
                world.copy("first")
        yield matrix
    finally:
        world.close()


def test_power_cuts_in_the_first_run_ever(matrix: Matrix) -> None:
    matrix.world.empty()
    matrix.world.offer(*FIRST)
    matrix.die_often([*both_sides(FIRST_RUN_IN_PROCESS)], "resume", "first")


def test_power_cuts_in_a_later_run(matrix: Matrix) -> None:
    matrix.world.offer(*SECOND)
    matrix.world.restore("first")
    matrix.die_often([*both_sides(LATER_RUN_IN_PROCESS)], "new run", "second")


def test_power_cuts_while_a_batch_is_refused(matrix: Matrix) -> None:
    matrix.world.offer("batch0", "spoiled")
    matrix.world.restore("first")
    assert matrix.world.run().code == 2
    matrix.clean["refused"] = matrix.world.facts()
    matrix.world.restore("first")
    matrix.die_often([*both_sides(REFUSAL_IN_PROCESS)], "resume", "refused", code=2)
