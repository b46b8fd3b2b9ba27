"""Scenarios 15 to 18: what answers is not what was trained."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xgboost as xgb

from lakeloop.adapters.mlflow.model_files import OWN_FOLDER
from lakeloop.adapters.mlflow.registry import MlflowModelRegistry
from lakeloop.domain.model_files import BOOSTER_FILE
from lakeloop.domain.training import TrainedModel
from tests.scorecard import labs, other_xgboost
from tests.scorecard.cells import Seen
from tests.scorecard.histories import BATCH
from tests.scorecard.loop import Loop
from tests.scorecard.measures import features, labels
from tests.scorecard.pumps import FEATURES, readings
from tests.scorecard.workbench import Workbench
from tests.scorecard.world import World, variables

REVERSED = """
import sys
if "lakeloop.serving.predictor" in sys.orig_argv:
    from lakeloop.serving.model import ServedModel
    right = ServedModel.matrix
    ServedModel.matrix = lambda self, rows, **how: right(self, rows, **how)[:, ::-1].copy()
"""
CRASH = """
import sys
if {"lakeloop.serving.predictor", "labs_server.py"} & {word.rpartition("/")[2] for word in sys.orig_argv}:
    raise SystemExit("a library that the image does not have")
"""


@dataclass
class Served:
    """Both sides serve their first model and have a second one ready: made once for the four scenarios."""

    world: World
    loop: Loop
    bench: Workbench
    second: labs.LabsRun
    attempts: int = 0

    def redeploy(self, about: str) -> Seen:
        """lakeloop's step for version 2: how it ended, which is `about` this, and what serves."""
        self.attempts += 1
        return _lakeloop(self.loop, f"attempt-{self.attempts}", about)

    def labs_deploy(self, label: str, model: Path, changes: dict[str, str] | None = None) -> str | None:
        labs.redeploy(self.bench, label, model, changes)
        return self.bench.settled()


def served(world: World) -> Served:
    """The shared start."""
    known = world.shared.get("served")
    if isinstance(known, Served):
        return known
    world.create("s15", readings(0, BATCH))
    loop, bench = world.loop("s15"), world.workbench("s15")
    loop.run("first")
    labs.redeploy(bench, "first", world.labs_train("s15").model)
    bench.settled()
    world.append("s15", readings(1000, BATCH))
    loop.run("second", until="register_model")
    made = Served(world, loop, bench, world.labs_train("s15"))
    world.shared["served"] = made
    return made


def other_library(world: World) -> tuple[Seen, Seen]:
    """The server's image has another XGBoost than the training's."""
    both, place = served(world), other_xgboost.folder()
    if place is None:
        return Seen(), _recorded_otherwise(both)  # nothing is shown about the labs: silent
    changes = {"PYTHONPATH": str(place)}
    both.labs_deploy("second", both.second.model, changes)
    labs_seen = _labs(both, f"XGBoost {other_xgboost.VERSION} reads a model of {xgb.__version__}")
    with variables(PYTHONPATH=_path(place)):
        return labs_seen, both.redeploy("xgboost_version")


def feature_order(world: World) -> tuple[Seen, Seen]:
    """The labs' training selects its columns in another order than callers send them; lakeloop's server is made to."""
    both = served(world)
    turned = world.labs_train("s15", columns=(FEATURES[1], FEATURES[0], *FEATURES[2:]))
    both.labs_deploy("turned", turned.model)
    labs_seen = _labs(both, "columns arrive in another order", turned.model, (1, 0, 2))
    with variables(PYTHONPATH=_path(_sitecustomize(world, "reversed", REVERSED))):
        return labs_seen, both.redeploy("scores differ")


def same_uri_new_bytes(world: World) -> tuple[Seen, Seen]:
    """After evaluation and registration, another model is written to the very place that the version names."""
    both = served(world)
    registered = both.second.model.read_bytes()
    both.second.model.write_bytes(_another_model(both.second.model))
    both.labs_deploy("second", both.second.model)
    both.second.model.write_bytes(registered)
    labs_seen = _labs(both, "other bytes under the registered URI")
    source = MlflowModelRegistry(world.settings)._get("s15", "2").source
    booster = Path(str(source).removeprefix("file://")) / OWN_FOLDER / BOOSTER_FILE
    content = booster.read_bytes()
    booster.write_bytes(_another_model(booster))
    try:
        return labs_seen, both.redeploy("digest")
    finally:
        booster.write_bytes(content)


def crash_loop(world: World) -> tuple[Seen, Seen]:
    """The new server ends at its start, again and again; afterwards, without the fault, version 2 does go live."""
    both = served(world)
    before = both.labs_deploy("first", both.second.model)
    place, starts = _sitecustomize(world, "crash", CRASH), both.bench.starts
    answer = labs.redeploy(both.bench, "second", both.second.model, {"PYTHONPATH": str(place)})
    after, tries = both.bench.settled(), both.bench.starts - starts
    told = f"the job said {answer!r}, {tries} starts ended, and the model before serves"
    with variables(PYTHONPATH=_path(place)):
        seen = both.redeploy("ended while it started")
    control = both.loop.step("second", "redeploy_endpoint")
    both.loop.release("second")
    live = both.loop.live()
    proven = control.error is None and live is not None and live.version == "2"
    return (
        Seen(wrong=(told,) if after == before == "first" else ()),
        seen
        if proven
        else Seen(wrong=(f"version 2 does not go live without the fault either: {control.error}",)),
    )


def _lakeloop(loop: Loop, run_id: str, about: str) -> Seen:
    folder = loop.folder / run_id
    folder.mkdir(parents=True)
    for name in ("training", "registration"):
        (folder / name).write_text((loop.folder / "second" / name).read_text())
    run, live = loop.step(run_id, "redeploy_endpoint"), loop.live()
    loop.release(run_id)
    version = live.version if live else "none"
    told = loop.kinds()[-1] == "rollout_failed"
    kept = version == "1" == loop.champion() and told
    right = (
        f"version {version} serves" if told else f"version {version} serves, and the ledger has no failure"
    )
    return Seen(
        wrong=() if kept else (right,), told=run.told(about=about), right=right if kept and run.error else ""
    )


def _labs(both: Served, what: str, model: Path | None = None, order: tuple[int, ...] = (0, 1, 2)) -> Seen:
    """Scores of what serves against the registered model's own, of the same rows."""
    rows = features(readings(50_000, 50))
    booster = xgb.Booster(model_file=str(model or both.second.model))
    offline = booster.inplace_predict(np.asarray(rows, dtype=np.float32)[:, list(order)])
    worst = float(np.abs(offline - np.asarray(both.bench.predict(rows))).max())
    return Seen(wrong=(f"{what}: scores are off by up to {worst:.2f}",) if worst > 1e-6 else ())


def _recorded_otherwise(both: Served) -> Seen:
    """Where nothing can be fetched: the training is said to have used another XGBoost."""
    path = both.loop.folder / "second" / "training"
    kept = path.read_text()
    trained = TrainedModel.model_validate_json(kept)
    libraries = {**trained.lineage.code.libraries, "xgboost-cpu": other_xgboost.VERSION}
    code = trained.lineage.code.model_copy(update={"libraries": libraries})
    lineage = trained.lineage.model_copy(update={"code": code})
    path.write_text(trained.model_copy(update={"lineage": lineage}).model_dump_json())
    try:
        return both.redeploy("xgboost_version")
    finally:
        path.write_text(kept)


def _another_model(like: Path) -> bytes:
    """A booster of the same shape with other trees."""
    old = xgb.Booster(model_file=str(like))
    rows = readings(70_000, BATCH)
    columns = [rows.column(name).to_numpy() for name in FEATURES]
    names = old.feature_names or []
    columns += [columns[0]] * (len(names) - len(columns))
    data = xgb.DMatrix(np.column_stack(columns), label=1 - labels(rows), feature_names=names)
    return bytes(xgb.train({"objective": "binary:logistic", "nthread": 1}, data, 3).save_raw("ubj"))


def _sitecustomize(world: World, name: str, text: str) -> Path:
    """A folder whose code runs in every Python that starts with it on its path."""
    place = world.folder / name
    place.mkdir(exist_ok=True)
    (place / "sitecustomize.py").write_text(text)
    return place


def _path(place: Path) -> str:
    return os.pathsep.join(part for part in (str(place), os.environ.get("PYTHONPATH", "")) if part)
