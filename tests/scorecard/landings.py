"""Scenarios 8, 9 and 12: a batch on its way into the table."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from lakeloop import bootstrap
from lakeloop.domain.errors import UserError
from lakeloop.domain.verdict import Verdict
from tests.scorecard import labs
from tests.scorecard.cells import Seen, difference, table_difference
from tests.scorecard.histories import BATCH, FILES, ids
from tests.scorecard.loop import Loop
from tests.scorecard.measures import features, log_loss
from tests.scorecard.pumps import readings, usual
from tests.scorecard.world import World


def append_retried(world: World) -> tuple[Seen, Seen]:
    """The step commits its append, dies before it can say so, and is run again."""
    rows = readings(1000, BATCH)
    world.create("s08_labs", readings(0, BATCH))
    for _ in range(2):
        labs.create_or_append(world.frame(rows), world.table("s08_labs"))
    there = world.ids("s08_labs")
    world.create("s08", readings(0, BATCH))
    loop = world.loop("s08", source=FILES)
    loop.run("first")
    batch = world.batch("s08_batch", rows)
    bootstrap.batch_publisher(world.settings).publish(loop.use_case, batch, "an attempt that died")
    second = loop.run("second", batch)
    wrong = table_difference(loop.table_ids(), ids(0) + ids(1000))
    wrong += difference(loop.trained_ids(second), ids(1000)) if second.error is None else ()
    done = second.error is None and loop.ingested(second).outcome == "already_published"
    return (
        Seen(wrong=table_difference(there, ids(0) + ids(1000))),
        Seen(
            wrong=wrong,
            told=second.told(UserError, "no error at all"),
            right="found in main's history: every row once" if done else "",
        ),
    )


def append_fails(world: World) -> tuple[Seen, Seen]:
    """A batch whose numbers came as text."""
    rows = readings(1000, BATCH)
    place = rows.schema.get_field_index("load")
    texts = rows.set_column(place, "load", pa.array(["n/a"] * BATCH))
    world.create("s09_labs", readings(0, BATCH))
    labs.create_or_append(world.frame(texts), world.table("s09_labs"))
    there = world.ids("s09_labs")
    world.create("s09", readings(0, BATCH))
    loop = world.loop("s09", source=FILES)
    loop.run("first")
    second = loop.run("second", world.batch("s09_batch", texts))
    return (
        Seen(wrong=table_difference(there, ids(0))),
        Seen(wrong=_as_before(loop, ids(0)), told=second.told(UserError, "load")),
    )


def shifted_labels(world: World) -> tuple[Seen, Seen]:
    """A batch in which far more pumps fail than ever, because somebody's labels are wrong."""
    fresh, shifted = readings(50_000, 2000), readings(1000, BATCH, lambda c: usual(c) + 3)
    rate = float(np.mean(shifted.column("failed").to_numpy()))
    world.create("s12_labs", readings(0, BATCH))
    bench = world.workbench("s12_labs")
    before = world.labs_train("s12_labs")
    labs.redeploy(bench, "first", before.model)
    bench.settled()
    first = log_loss(fresh, bench.predict(features(fresh)))
    labs.create_or_append(world.frame(shifted), world.table("s12_labs"))
    labs.redeploy(bench, "second", world.labs_train("s12_labs").model)
    bench.settled()
    second = log_loss(fresh, bench.predict(features(fresh)))
    worse = f"log loss of what serves is {second:.2f} on true rows, it was {first:.2f}"
    world.create("s12", readings(0, BATCH))
    loop = world.loop("s12", source=FILES, expectations={"label_rate": {"min": 0.15, "max": 0.5}})
    loop.run("first")
    run = loop.run("second", world.batch("s12_batch", shifted))
    refused = Seen(wrong=_as_before(loop, ids(0)), told=run.told(UserError, "label_rate"))
    world.append(
        "s12", shifted
    )  # and where somebody else writes the table, so that there is no batch to audit
    verdict = loop.run("third").read("verdict", Verdict)
    rejected = verdict.decision == "reject" and any("label_rate" in reason for reason in verdict.reasons)
    wrong = _as_before(loop, ids(0) + ids(1000)) + (() if rejected else ("the gate let it through",))
    return (
        Seen(wrong=(worse,) if second > first * 1.2 else (), right=f"label rate {rate:.2f}"),
        Seen(wrong=refused.wrong + wrong, told=(*refused.told, f"reject: {'; '.join(verdict.reasons)}")),
    )


def _as_before(loop: Loop, truth: list[int]) -> tuple[str, ...]:
    live = loop.live()
    served = () if live and live.version == "1" == loop.champion() else ("version 1 serves no more",)
    return table_difference(loop.table_ids(), truth) + served
