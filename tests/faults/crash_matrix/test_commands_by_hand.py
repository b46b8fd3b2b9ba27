"""Power cuts in the commands that change something without a run: the same command again finishes the work. No JVM."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lakeloop.domain.use_case import UseCase
from tests.faults.crash_matrix.keeping import kept
from tests.faults.crash_matrix.matrix import Matrix, both_sides
from tests.faults.crash_matrix.points import BY_HAND
from tests.faults.crash_matrix.ready_home import TABLE_SOURCE, add_ready_batch, make_ready_home
from tests.faults.crash_matrix.world import World, use_case

pytestmark = [pytest.mark.crash, pytest.mark.timeout(3600)]

WORDS = {
    "rollback": ("--to", "1", "--reason", "it is worse"),
    "promote": ("1", "--reason", "it is better"),
    "retire": ("1", "--reason", "it is old"),
}


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Matrix]:
    """A home with two versions, the second of them live."""
    world = World(tmp_path_factory.mktemp("by-hand"), changes=TABLE_SOURCE)
    declared = UseCase.model_validate(use_case(world.folder, **TABLE_SOURCE))
    with kept(Matrix(world)) as matrix:
        make_ready_home(world.settings, declared)
        matrix.prepare_two_versions(lambda: add_ready_batch(world.settings, declared, 1))
        yield matrix


@pytest.mark.parametrize("command", BY_HAND)
def test_power_cuts_in_a_command(versions: Matrix, command: str) -> None:
    words = [command, str(versions.world.file()), *WORDS[command]]
    versions.world.restore("second")
    ended = versions.world.call(*words)
    assert ended.code == 0, ended.output
    versions.clean[command] = versions.world.facts()
    versions.die_in_chain(lambda: versions.by_hand(words), [*both_sides(BY_HAND[command])], "again")
