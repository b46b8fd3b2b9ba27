"""Power cuts in the commands that change something without a run: the same command again finishes the work. No JVM."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from lakeloop.domain.use_case import UseCase
from tests.faults.crash_matrix.matrix import Matrix, both_sides
from tests.faults.crash_matrix.points import HAND_POINTS, Point
from tests.faults.crash_matrix.ready_home import TABLE_SOURCE, add_ready_batch, make_ready_home
from tests.faults.crash_matrix.table import publish
from tests.faults.crash_matrix.world import World, use_case

pytestmark = [pytest.mark.crash, pytest.mark.timeout(600)]

WORDS = {
    "rollback": ("--to", "1", "--reason", "it is worse"),
    "promote": ("1", "--reason", "it is better"),
    "retire": ("1", "--reason", "it is old"),
}


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Matrix]:
    """A home with two versions, the second of them live."""
    world = World(tmp_path_factory.mktemp("by-hand"), changes=TABLE_SOURCE)
    matrix, declared = Matrix(world), UseCase.model_validate(use_case(world.folder, **TABLE_SOURCE))
    try:
        make_ready_home(world.settings, declared)
        matrix.prepare_two_versions(lambda: add_ready_batch(world.settings, declared, 1))
        yield matrix
    finally:
        world.close()
    if os.environ.get("LAKELOOP_PUBLISH_CRASH_MATRIX"):
        publish(matrix.results)


def named(value: object) -> str | None:
    return f"{value.step}-{value.name}".replace(" ", "-") if isinstance(value, Point) else None


@pytest.mark.parametrize(("point", "side"), [*both_sides(HAND_POINTS)], ids=named)
def test_a_power_cut_in_a_command(versions: Matrix, point: Point, side: str) -> None:
    words = [point.step, str(versions.world.file()), *WORDS[point.step]]
    if point.step not in versions.clean:
        versions.world.restore("second")
        ended = versions.world.call(*words)
        assert ended.code == 0, ended.output
        versions.clean[point.step] = versions.world.facts()
    versions.die_by_hand(point, side, words)
