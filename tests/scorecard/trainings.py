"""Scenarios 10, 11, 13 and 14: which model of several, and whether it deserved it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from lakeloop.adapters.mlflow.client import open_client
from lakeloop.domain.rollout import Registration
from lakeloop.domain.verdict import Verdict
from tests.scorecard import labs
from tests.scorecard.cells import Seen
from tests.scorecard.histories import BATCH
from tests.scorecard.loop import STEPS, Loop
from tests.scorecard.measures import auc, auc_gain, features
from tests.scorecard.pumps import Values, readings, usual
from tests.scorecard.world import World


def training_retried(world: World) -> tuple[Seen, Seen]:
    """Training and registration end, their pod dies before it could say so, and they are run again."""
    import mlflow

    world.create("s10", readings(0, BATCH))
    for _ in range(2):
        world.labs_train("s10", "labs-s10")
    runs, versions = _counts(world, "labs-s10")
    loop = world.loop("s10")
    first = loop.run("first", until="register_model").read("registration", Registration)
    for name in STEPS[2:5]:
        loop.step("first", name)
    last = loop.step("first", "redeploy_endpoint")
    again = last.read("registration", Registration)
    own_runs, own_versions = _counts(world, "s10")
    live = loop.live()
    wrong = () if (own_runs, own_versions) == (1, 1) else (f"{own_runs} runs, {own_versions} versions",)
    wrong += () if again == first and live and live.version == "1" else ("another version than the first",)
    assert mlflow.get_tracking_uri() == world.settings.tracking_uri
    return (
        Seen(wrong=(f"{runs} runs and {versions} versions of one training",) if versions > 1 else ()),
        Seen(
            wrong=wrong, told=last.told(about="no error at all"), right="one run, one version, and it serves"
        ),
    )


def _counts(world: World, name: str) -> tuple[int, int]:
    client = open_client(world.settings)
    experiment = client.get_experiment_by_name(name)
    assert experiment is not None
    return len(client.search_runs([experiment.experiment_id])), len(
        client.search_model_versions(f"name = '{name}'")
    )


def stale_latest_run(world: World) -> tuple[Seen, Seen]:
    """Two batches, two trainings, two redeploys: does the second model serve?"""
    world.create("s11", readings(0, BATCH))
    loop, bench = world.loop("s11"), world.workbench("s11")
    for number in (1, 2):
        if number > 1:
            world.append("s11", readings(1000, BATCH))
        newest = world.labs_train("s11", "labs-s11").run_id
        labs.redeploy(bench, *labs.latest_run("labs-s11"))
        served = bench.settled()
        run = loop.run(f"run-{number}")
    live, state = loop.live(), loop.lake.table_state("s11.pumps")
    right = live is not None and live.version == "2" and live.to_snapshot_id == state.current_snapshot_id
    return (
        Seen(wrong=() if served == newest else ("the first run's model serves after the second redeploy",)),
        Seen(
            wrong=() if right else (f"{live} serves",),
            told=run.told(about="no error at all"),
            right="version 2, of the newest snapshot, serves by its own word",
        ),
    )


def equal_within_noise(world: World) -> tuple[Seen, Seen]:
    """A second batch of the same: its model is another one, and no better."""
    rows, fresh = 2000, readings(50_000, 4000)
    world.create("s13", readings(0, rows))
    loop = world.loop("s13", gate={"min_rows": 50, "bootstrap_samples": 300})
    loop.run("first")
    before = _labs_scores(world, "s13", fresh)
    world.append("s13", readings(10_000, rows))
    gain = auc_gain(fresh, _labs_scores(world, "s13", fresh), before)
    told = f"replaced by a model that is no better: AUC {gain.value:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}]"
    return Seen(wrong=(told,) if gain.low <= 0 else ()), _judged(loop)


def one_slice_regresses(world: World) -> tuple[Seen, Seen]:
    """Everywhere but at site c the pumps behave in another way now, and c sends no rows while they are collected."""
    rows, fresh = 4000, readings(50_000, 4000, _moved)
    world.create("s14", readings(0, rows))
    slices = [{"column": "site", "max_regression": 0.02, "min_rows": 50}]
    loop = world.loop("s14", gate={"min_rows": 50, "bootstrap_samples": 300, "slices": slices})
    loop.run("first")
    before = _labs_scores(world, "s14", fresh)
    world.append("s14", _without_early_c(readings(10_000, rows, _moved)))
    after = _labs_scores(world, "s14", fresh)
    c, all_ = ((auc(fresh, before, site), auc(fresh, after, site)) for site in ("c", ""))
    told = f"site c fell from AUC {c[0]:.3f} to {c[1]:.3f} while all rows rose from {all_[0]:.3f} to {all_[1]:.3f}"
    return Seen(wrong=(told,) if c[1] < c[0] - 0.02 else ()), _judged(loop)


def _labs_scores(world: World, name: str, fresh: pa.Table) -> list[float]:
    """Of what serves after the labs' jobs."""
    bench = next((b for b in world.workbenches if b.folder.name == name), None) or world.workbench(name)
    trained = world.labs_train(name)
    labs.redeploy(bench, trained.run_id, trained.model)
    assert bench.settled() == trained.run_id
    return bench.predict(features(fresh))


def _judged(loop: Loop) -> Seen:
    """The second batch's run; a rejection is told by the verdict and the ledger."""
    run = loop.run("second")
    verdict, live = run.read("verdict", Verdict), loop.live()
    reasons = (f"{verdict.decision}: {'; '.join(verdict.reasons)}",)
    kept = live is not None and live.version == "1" and loop.kinds()[-1] == "rejected"
    return Seen(
        wrong=() if kept else (f"version {live.version if live else 'none'} serves",),
        told=(*run.told(about="no error at all"), *reasons) if kept else (),
        right="version 1 serves",
    )


def _moved(columns: dict[str, Values]) -> Values:
    """At sites a and b age drives failures now; at c it is still load."""
    aged = 8 * (columns["age"] - 0.6) + 2 * (columns["heat"] - 0.5)
    return np.asarray(np.where(columns["site"] == "c", usual(columns), aged))


def _without_early_c(rows: pa.Table) -> pa.Table:
    """Site c is missing from the first 80 %, which is trained on."""
    late = np.arange(rows.num_rows) >= rows.num_rows * 0.75
    return rows.filter(pa.array(late | (np.array(rows.column("site").to_pylist()) != "c")))
