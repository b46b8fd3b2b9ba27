"""Scenarios 1 to 7: what a training reads after anything but one plain append."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from lakeloop.domain.errors import RefusedError, UserError
from tests.scorecard import labs
from tests.scorecard.cells import Seen, difference, table_difference
from tests.scorecard.loop import Loop, Run
from tests.scorecard.pumps import SCHEMA, readings
from tests.scorecard.workbench import Workbench
from tests.scorecard.world import World

BATCH = 600
FILES = {"kind": "files", "path": "*.parquet", "format": "parquet"}


def ids(first: int, count: int = BATCH) -> list[int]:
    return list(range(first, first + count))


class History:
    """One table, followed by both sides: each trains on the first batch, then again after whatever happened."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name
        self.loop: Loop = world.loop(name)
        self.bench: Workbench = world.workbench(name)
        self.labs_ids: list[int] = []
        self.labs_told: list[str] = []
        self.runs: list[Run] = []
        world.create(name, readings(0, BATCH))
        self.run()
        self.labs_ids.clear()
        self.first = world.snapshot(name)

    def append(self, first: int) -> None:
        self.world.append(self.name, readings(first, BATCH))

    def sql(self, text: str) -> None:
        self.world.sql(text.format(table=self.world.table(self.name), name=f"{self.name}.pumps"))

    def run(self) -> None:
        """Both sides' jobs, as a schedule starts them."""
        run_id = f"run-{len(self.runs)}"
        self.runs.append(self.loop.run(run_id))
        try:
            trained = self.world.labs_train(self.name)
        except Exception as error:  # noqa: BLE001 - a red job, whatever the reason
            self.labs_told.append(
                f"the training job ended with {type(error).__name__}: {str(error).splitlines()[0]}"
            )
            return
        self.labs_ids += trained.ids
        labs.redeploy(self.bench, run_id, trained.model)
        self.bench.settled()

    def seen(self, truth: list[int], about: str = "no error at all") -> tuple[Seen, Seen]:
        """Rows that the models since the first one were trained on, against the rows that they should have seen.

        Args:
            truth: keys of those rows.
            about: words of lakeloop's refusal, where it is to refuse.
        """
        return self.labs_seen(truth), self._lakeloop(truth, about)

    def labs_seen(self, truth: list[int]) -> Seen:
        moved = self.bench.settled() != "run-0"
        wrong = difference(self.labs_ids, truth) if moved else ()
        return Seen(
            wrong=tuple(f"{text}, and that model serves" for text in wrong),
            told=tuple(self.labs_told),
            right=f"{len(truth)} rows trained on, once each" if moved and not wrong else "",
        )

    def _lakeloop(self, truth: list[int], about: str) -> Seen:
        done = [r for r in self.runs[1:] if r.reached == "redeploy_endpoint" and r.error is None]
        trained = [i for run in done for i in self.loop.trained_ids(run)]
        live = self.loop.live()
        version = live.version if live else "none"
        told = tuple(dict.fromkeys(text for run in self.runs for text in run.told(RefusedError, about)))
        served_what_it_should = version == self.loop.champion() == str(len(done) + 1)
        wrong = difference(trained, truth) if done else ()
        wrong += () if served_what_it_should else (f"version {version} serves",)
        rows = f"{len(trained)} rows trained on, once each, " if done and not wrong else ""
        return Seen(wrong=wrong, told=told, right=f"{rows}version {version} serves" if done or told else "")


def two_appends(world: World) -> tuple[Seen, Seen]:
    history = History(world, "s01")
    history.append(1000)
    history.append(2000)
    history.run()
    return history.seen(ids(1000) + ids(2000))


def overwrite(world: World) -> tuple[Seen, Seen]:
    """Half of a new batch is corrected in place before anybody trained on it; then life goes on."""
    return _in_range(
        world, "s02", "UPDATE {table} SET load = load / 2 WHERE id BETWEEN 1000 AND 1299", "overwrite"
    )


def delete(world: World) -> tuple[Seen, Seen]:
    """A batch is withdrawn, file and all, after another one had come."""

    def change(history: History) -> None:
        history.append(5000)
        history.sql("DELETE FROM {table} WHERE id BETWEEN 5000 AND 5999")

    return _in_range(world, "s03", change, "delete")


def compaction(world: World) -> tuple[Seen, Seen]:
    return _in_range(
        world,
        "s04",
        "CALL lake.system.rewrite_data_files(table => '{name}', options => map('rewrite-all', 'true'))",
    )


def _in_range(
    world: World, name: str, change: str | Callable[[History], None], about: str = "no error at all"
) -> tuple[Seen, Seen]:
    """A new batch, then the change, a run, the next batch, a run: was the first of the two ever trained on?"""
    history = History(world, name)
    history.append(1000)
    if isinstance(change, str):
        history.sql(change)
    else:
        change(history)
    history.run()
    history.append(2000)
    history.run()
    return history.seen(ids(1000) + ids(2000), about)


def start_expired(world: World) -> tuple[Seen, Seen]:
    """Two batches come, and all but the last snapshot expire; the one that lakeloop trained on is pinned, and stays.

    The labs lose the first batch here as they do without an expiry: their range begins at the last one's parent.
    """
    history = History(world, "s05")
    history.append(1000)
    history.append(2000)
    history.sql("CALL lake.system.expire_snapshots(table => '{name}', older_than => TIMESTAMP '2100-01-01')")
    history.run()
    return history.seen(ids(1000) + ids(2000), "have expired")


def rolled_back(world: World) -> tuple[Seen, Seen]:
    """A batch that both sides have trained on is withdrawn by rolling the table back."""
    history = History(world, "s06")
    history.append(1000)
    history.run()
    history.sql("CALL lake.system.rollback_to_snapshot('{name}', " + str(history.first) + ")")
    history.labs_ids.clear()
    history.run()
    consumed = history.loop.kinds().count("promoted") + history.loop.kinds().count("rejected")
    live = history.loop.live()
    wrong = () if consumed == 2 else (f"{consumed - 2} trainings on a history that is no longer",)
    told = history.runs[-1].told(RefusedError, "rolled back")
    right = f"version {live.version if live else 'none'} serves"
    return history.labs_seen([]), Seen(wrong=wrong, told=told, right=right if told else "")


def column_added(world: World) -> tuple[Seen, Seen]:
    """A batch brings a new column; for lakeloop also: the table's owner adds one, and rows that have it."""
    wider = _wider(readings(1000, BATCH))
    world.create("s07_labs", readings(0, BATCH))
    labs.create_or_append(world.frame(wider), world.table("s07_labs"))
    there = world.ids("s07_labs")
    world.create("s07", readings(0, BATCH))
    loop = world.loop("s07", source=FILES)
    loop.run("first")
    refused = loop.run("second", world.batch("s07_wider", wider))
    wrong = table_difference(loop.table_ids(), ids(0))
    world.sql(f"ALTER TABLE {world.table('s07')} ADD COLUMN pressure double")
    world.append("s07", wider)
    changed = loop.run("third")
    told = (*refused.told(UserError, "'pressure'"), *changed.told(RefusedError, "'pressure'"))
    wrong += () if loop.live() and loop.champion() == "1" else (f"version {loop.champion()} serves",)
    return (
        Seen(wrong=table_difference(there, ids(0) + ids(1000))),
        Seen(wrong=wrong, told=told if refused.error and changed.error else ()),
    )


def _wider(rows: pa.Table) -> Any:
    return rows.append_column("pressure", rows.column("load")) if rows.schema == SCHEMA else rows
