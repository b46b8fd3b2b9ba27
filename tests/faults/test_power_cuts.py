"""Power cuts that need no JVM, on each change; `make crash-matrix` has every commit point."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from lakeloop.domain.use_case import UseCase
from tests.faults.crash_matrix.facts import differences
from tests.faults.crash_matrix.matrix import Matrix, Rerun
from tests.faults.crash_matrix.points import LATER_RUN, OF_A_RUN
from tests.faults.crash_matrix.ready_home import TABLE_SOURCE, make_ready_home
from tests.faults.crash_matrix.world import ROOT, RUN_SECONDS, World, use_case

CHOSEN = ("run finished", "version made", "traffic moved", "promoted in the ledger")


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Matrix]:
    world = World(tmp_path_factory.mktemp("cuts"), changes=TABLE_SOURCE)
    try:
        make_ready_home(world.settings, UseCase.model_validate(use_case(world.folder, **TABLE_SOURCE)))
        world.copy("ready")
        ended = world.run()
        assert ended.code == 0, ended.output
        yield Matrix(world, {"first": world.facts()})
    finally:
        world.close()


@pytest.mark.parametrize(("rerun", "sides"), [("resume", ("before", "after")), ("new run", ("after",))])
def test_a_rerun_after_power_cuts_ends_as_a_clean_run(
    matrix: Matrix, rerun: Rerun, sides: tuple[str, ...]
) -> None:
    chosen = [point for point in LATER_RUN if point.name in CHOSEN]
    assert len(chosen) == len(CHOSEN)
    matrix.world.restore_without_endpoint("ready")
    matrix.die_often([(point, side) for point in chosen for side in sides], rerun, "first")


def test_of_three_runs_at_once_one_trains_and_the_others_are_told(matrix: Matrix) -> None:
    """Whichever it is: the others leave with 3, or find that nothing is left to do."""
    world = matrix.world
    world.restore_without_endpoint("ready")
    logs = [world.folder / "logs" / f"at-once-{number}.txt" for number in range(3)]
    words = ("run", str(world.file()))
    begun = [world.begin(words, world.environment, log) for log in logs]
    codes = sorted(process.wait(RUN_SECONDS) for process in begun)
    told = [log.read_text(encoding="utf-8") for log in logs]
    assert codes[0] == 0, told
    assert set(codes) <= {0, 3}, told
    assert not differences(world.facts(), matrix.clean["first"])


def test_the_published_matrix_has_every_point_and_none_that_differs() -> None:
    text = (ROOT / "docs/reliability.md").read_text(encoding="utf-8")
    of_a_run = text.partition("commands by hand: begin")[0]
    rows = re.findall(r"^\| (\w+) \| ([^|]+) \| ((?:same|-|differs).*)\|$", of_a_run, re.MULTILINE)
    played = {(step, point) for step, point, cells in rows if "same" in cells}
    assert played == {(point.step, point.name) for point in OF_A_RUN}, "run make crash-matrix"
    assert "| differs" not in text
