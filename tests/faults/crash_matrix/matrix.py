"""Deaths at commit points, and what a rerun makes of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.faults.crash_matrix.facts import differences
from tests.faults.crash_matrix.points import Point, edge, kill
from tests.faults.crash_matrix.world import BATCH_ROWS, Ended, World

Rerun = Literal["resume", "new run", "again"]
Facts = dict[str, Any]
KILLED = -9
FIRST, SECOND = ("batch0",), ("batch0", "batch1")
REJECTING: dict[str, Any] = {"gate": {"min_rows": 10, "min_positives": 2, "floor": 0.9999}}


@dataclass
class Matrix:
    """The world, what clean runs leave, and what became of each death."""

    world: World
    clean: dict[str, Facts] = field(default_factory=dict)
    results: dict[tuple[str, str, str, Rerun], list[str]] = field(default_factory=dict)

    def prepare(self) -> None:
        """Two clean runs."""
        self.world.offer(*FIRST)
        self.clean["first"] = self._finished(self.world.run())
        self.world.copy("first")
        self.world.offer(*SECOND)
        self.clean["second"] = self._finished(self.world.run())

    def prepare_two_versions(self, add_batch: Callable[[], None]) -> None:
        """Two clean runs that start no JVM, over tables that are ready for them."""
        self.clean["first"] = self._finished(self.world.run())
        add_batch()
        self.clean["second"] = self._finished(self.world.run())
        self.world.copy("second")

    def stop_before_each_step(self) -> None:
        """A home right before each step of the second run that needs no JVM; made once."""
        if not (self.world.folder / "copies" / "report_run").exists():
            self._stop_before(
                "train_model", "evaluate_model", "register_model", "redeploy_endpoint", "report_run"
            )

    def prepare_rejection(self) -> None:
        """A clean rejection, and a home right before it."""
        self.world.offer(*SECOND)
        self.world.restore("first")
        ended = self.world.run(faults=dying(edge("evaluate_model"), "before"), **REJECTING)
        self.world.copy("rejecting")
        self.clean["rejected"] = self._finished(self.world.run("--resume", ended.run_id, **REJECTING))

    def _stop_before(self, *steps: str) -> None:
        self.world.offer(*SECOND)
        self.world.restore("first")
        words: list[str] = []
        for step in steps:
            ended = self.world.run(*words, faults=dying(edge(step), "before"))
            assert ended.code == KILLED, ended.output
            self.world.copy(step)
            words = ["--resume", ended.run_id]

    def _finished(self, ended: Ended) -> Facts:
        assert ended.code == 0, ended.output
        return self.world.facts()

    def die_once(self, home: str, point: Point, side: str, rerun: Rerun, clean: str, **changes: Any) -> None:
        """One death, one rerun, from a home right before the step; raises where the end is not the clean one."""
        self.world.offer(*SECOND)
        self.world.restore(home)
        run_id = self.world.newest_run()
        killed = self.world.run("--resume", run_id, faults=dying(point, side), **changes)
        assert killed.code == KILLED, f"nobody died {side} {point.name}:\n{killed.output}"
        self._check_meanwhile(clean)
        ended = self._again(rerun, run_id, **changes)
        self._compare([(point, side)], rerun, ended, clean)

    def die_by_hand(self, point: Point, side: str, words: Sequence[str]) -> None:
        """One death of a command that nobody resumes, and the same command again."""
        self.world.restore("second")
        killed = self.world.call(*words, faults=dying(point, side))
        assert killed.code == KILLED, f"nobody died {side} {point.name}:\n{killed.output}"
        self._check_meanwhile("second")
        self._compare([(point, side)], "again", self.world.call(*words), point.step)

    def die_often(self, deaths: Sequence[tuple[Point, str]], rerun: Rerun, clean: str, code: int = 0) -> None:
        """A death at each point, one after another, a rerun after each; the last one may finish."""
        words: list[str] = []
        for point, side in deaths:
            killed = self.world.run(*words, faults=dying(point, side))
            assert killed.code == KILLED, f"nobody died {side} {point.name}:\n{killed.output}"
            self._check_meanwhile(clean)
            words = ["--resume", killed.run_id] if rerun == "resume" else []
        self._compare(deaths, rerun, self.world.run(*words), clean, code)

    def _again(self, rerun: Rerun, run_id: str, **changes: Any) -> Ended:
        return self.world.run(*(["--resume", run_id] if rerun == "resume" else []), **changes)

    def _check_meanwhile(self, clean: str) -> None:
        """Right after a death: whole batches or nothing on main, and the endpoint answers as one of the versions."""
        found = self.world.facts()
        rows = len(found["source"]["rows"]) if found["source"] else 0
        assert rows % BATCH_ROWS == 0, f"{rows} rows are visible"
        if clean != "first":
            versions = [self.clean[name]["endpoint"] for name in ("first", "second")]
            answers = [(v["version"], v["scores"]) for v in versions]
            live = found["endpoint"]
            assert live, "nothing answers"
            assert (live["version"], live["scores"]) in answers, live

    def _compare(
        self, deaths: Sequence[tuple[Point, str]], rerun: Rerun, ended: Ended, clean: str, code: int = 0
    ) -> None:
        assert ended.code == code, ended.output
        found = differences(self.world.facts(), self.clean[clean])
        for point, side in deaths:
            self.results[point.step, point.name, side, rerun] = found
        assert not found, "\n".join(found)


def dying(point: Point, side: str) -> dict[str, str]:
    """The variables of a power cut there."""
    return {"LAKELOOP_TEST_KILL": kill(point, side)}


def both_sides(points: Sequence[Point]) -> Iterator[tuple[Point, str]]:
    """Right before and right after each point, in order."""
    return ((point, side) for point in points for side in ("before", "after"))
