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
Death = tuple[Point, str]
KILLED = -9
FIRST, SECOND = ("batch0",), ("batch0", "batch1")
REJECTING: dict[str, Any] = {"gate": {"min_rows": 10, "min_positives": 2, "floor": 0.9999}}

NEW_FEATURES: dict[str, Any] = {
    "features": ["amount", "kind", {"name": "double", "expression": "amount * 2"},
                 {"name": "half", "expression": "amount / 2"}]
}  # fmt: skip


@dataclass(frozen=True)
class Begun:
    """Where a chain of deaths starts: the command, the words with which it is called first, and the clean end."""

    command: tuple[str, ...]
    first: tuple[str, ...]
    clean: str


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

    def prepare_from_first(self, name: str, *files: str, code: int = 0, **changes: Any) -> None:
        """What a clean run leaves that begins at the first one's end; the home is there again afterwards."""
        self.world.offer(*files)
        self.world.restore("first")
        ended = self.world.run(**changes)
        assert ended.code == code, ended.output
        self.clean[name] = self.world.facts()
        self.world.restore("first")

    def prepare_from_nothing(self, name: str, *files: str, code: int = 0) -> None:
        """What a clean first run leaves; the home is empty again afterwards."""
        self.world.offer(*files)
        self.world.empty()
        ended = self.world.run()
        assert ended.code == code, ended.output
        self.clean[name] = self.world.facts()
        self.world.empty()

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

    def die_in_chain(self, begin: Callable[[], Begun], deaths: Sequence[Death], rerun: Rerun) -> None:
        """A death at each point, one after another, each rerun going on where the one before has died.

        Where a rerun does not come by the next point any more, because nothing is left to do there, or the point is one
        to be played alone, the rerun ends, what is there is compared, and another chain begins at that point. Where a
        chain does not end as a clean run, each of its deaths is played alone, so that the table names the one.

        Args:
            begin: puts the home where a chain starts.
            deaths: points and sides, in the order in which a run passes them.
            rerun: who goes on after each death.
        """
        chain, begun = list[Death](), begin()
        words = begun.first
        for death in deaths:
            faults = {} if chain and death[0].alone else dying(*death)
            ended = self.world.call(*begun.command, *words, faults=faults)
            if ended.code != KILLED and chain:
                self._end_chain(begin, chain, rerun, begun, ended)
                chain, begun = [], begin()
                ended = self.world.call(*begun.command, *begun.first, faults=dying(*death))
            assert ended.code == KILLED, f"nobody died {death[1]} {death[0].name}:\n{ended.output}"
            chain.append(death)
            self._check_meanwhile(begun.clean)
            words = ("--resume", ended.run_id) if rerun == "resume" else ()
        self._end_chain(begin, chain, rerun, begun, self.world.call(*begun.command, *words))

    def _end_chain(
        self,
        begin: Callable[[], Begun],
        chain: Sequence[Death],
        rerun: Rerun,
        begun: Begun,
        ended: Ended,
    ) -> None:
        found = self._found(ended, begun.clean, 0)
        if found and len(chain) > 1:
            for death in chain:
                self.die_in_chain(begin, [death], rerun)
        self._note(chain, rerun, found)

    def at_step(self, step: str, clean: str = "second", **changes: Any) -> Begun:
        """A run of the second batch that had come to a step, made ready to be resumed."""
        self.world.offer(*SECOND)
        self.world.restore(step)
        return Begun(self.world.run_command(**changes), ("--resume", self.world.newest_run()), clean)

    def by_hand(self, words: Sequence[str]) -> Begun:
        """A command that nobody resumes, over two versions."""
        self.world.restore("second")
        return Begun(tuple(words), (), words[0])

    def die_often(
        self, deaths: Sequence[Death], rerun: Rerun, clean: str, code: int = 0, **changes: Any
    ) -> None:
        """A death at each point, one after another, a rerun after each; the last one may finish."""
        words: list[str] = []
        for point, side in deaths:
            killed = self.world.run(*words, faults=dying(point, side), **changes)
            assert killed.code == KILLED, f"nobody died {side} {point.name}:\n{killed.output}"
            self._check_meanwhile(clean)
            words = ["--resume", killed.run_id] if rerun == "resume" else []
        self._note(deaths, rerun, self._found(self.world.run(*words, **changes), clean, code))

    def _check_meanwhile(self, clean: str) -> None:
        """Right after a death: whole batches or nothing on main, and the endpoint answers as one of the versions."""
        found = self.world.facts()
        rows = len(found["source"]["rows"]) if found["source"] else 0
        assert rows % BATCH_ROWS == 0, f"{rows} rows are visible"
        if clean not in {"first", "refused first"}:
            versions = [self.clean[name]["endpoint"] for name in ("first", "second")]
            answers = [(v["version"], v["scores"]) for v in versions]
            live = found["endpoint"]
            assert live, "nothing answers"
            assert (live["version"], live["scores"]) in answers, live

    def _found(self, ended: Ended, clean: str, code: int) -> list[str]:
        assert ended.code == code, ended.output
        return differences(self.world.facts(), self.clean[clean])

    def _note(self, deaths: Sequence[Death], rerun: Rerun, found: list[str]) -> None:
        for point, side in deaths:
            self.results[point.step, point.name, side, rerun] = found
        assert not found, "\n".join(found)


def dying(point: Point, side: str) -> dict[str, str]:
    """The variables of a power cut there."""
    return {"LAKELOOP_TEST_KILL": kill(point, side)}


def both_sides(points: Sequence[Point]) -> Iterator[Death]:
    """Right before and right after each point, in order."""
    return ((point, side) for point in points for side in ("before", "after"))
