"""Scenarios 19 and 20: two at once, and yesterday's result."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from lakeloop.domain.errors import ConflictError
from lakeloop.domain.rollout import Registration
from lakeloop.domain.training import TrainedModel
from lakeloop.runners.process import RunOptions, run_pipeline
from lakeloop.runners.process.content import content_digest
from tests.scorecard import labs
from tests.scorecard.cells import Seen
from tests.scorecard.histories import BATCH
from tests.scorecard.loop import Loop
from tests.scorecard.pumps import readings, use_case
from tests.scorecard.world import World

PIPELINE = Path(__file__).with_name("tagged.yaml")
SETTING = "value = {value}\n"
STEP = """
import pathlib, sys
from setting import value
path = pathlib.Path(sys.argv[1])
path.parent.mkdir(parents=True, exist_ok=True)
path.write_text(str(value))
"""


def two_promotions(world: World) -> tuple[Seen, Seen]:
    """Two runs have each a version ready that was judged against the same champion, and redeploy at once."""
    world.create("s19", readings(0, BATCH))
    one, bench = world.loop("s19"), world.workbench("s19")
    one.run("first")
    world.append("s19", readings(1000, BATCH))
    older = world.labs_train("s19")
    two = Loop(world.settings, use_case("s19", train=_another_training()), world.folder / "loops" / "s19_two")
    registered = [
        loop.run(name, until="register_model").read("registration", Registration)
        for loop, name in ((one, "a"), (two, "b"))
    ]
    assert [r.previous_champion for r in registered] == ["1", "1"]
    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(loop.step, name, "redeploy_endpoint") for loop, name in ((one, "a"), (two, "b"))]
        runs = [job.result() for job in jobs]
    lost = [run for run in runs if isinstance(run.error, ConflictError)]
    live, champion, promoted = one.live(), one.champion(), one.kinds().count("promoted")
    agree = live is not None and live.version == champion and promoted == 2 and len(lost) == 1
    wrong = (
        () if agree else (f"{live} serves, champion is {champion}, {promoted} promotions, {len(lost)} told",)
    )
    told = tuple(
        f"the other's {run.reached} ended with {ConflictError.exit_code}: a conflict" for run in lost
    )
    right = "one won: its version is champion, in the ledger, and serves"
    return _labs_race(world, bench, older), Seen(wrong=wrong, told=told, right=right if agree else "")


def _labs_race(world: World, bench: Any, older: labs.LabsRun) -> Seen:
    """The job that trained first redeploys last."""
    world.append("s19", readings(2000, BATCH))
    newer = world.labs_train("s19")
    for label, run in (("newer", newer), ("older", older)):
        labs.redeploy(bench, label, run.model)
        bench.settled()
    served = bench.settled()
    return Seen(wrong=() if served == "newer" else (f"both jobs are green, the {served} model serves",))


def _another_training() -> dict[str, Any]:
    return {"rounds": 25, "early_stopping_rounds": None, "params": {"max_depth": 2}, "threads": 1}


def mutable_tag(world: World) -> tuple[Seen, Seen]:
    """The image behind a tag is built anew with other code; nothing else of the step changes."""
    image = world.folder / "image"
    image.mkdir()
    (image / "step.py").write_text(STEP)
    cache: dict[str, Any] = {}
    labs_found, found = [], []
    for value in (1, 2):
        _build(image, value)
        labs_found.append(labs.cached(cache, "retrain:latest", "python step.py", "", lambda v=value: v))
        known = {digest: _run(world, image, digest) for digest in ("", content_digest(image.as_uri()) or "")}
        found.append(known)
    wrong = tuple(
        f"the code says {value}, the step's result says {result}"
        for value, results in zip((1, 2), found, strict=True)
        for result in {result for result, _ in results.values()}
        if result != str(value)
    )
    again = _run(world, image, content_digest(image.as_uri()) or "")
    wrong += () if again == ("2", "cached") else (f"the cache did not work at all: {again}",)
    keys = _run_keys(world)
    wrong += () if len(set(keys)) == len(keys) else ("a training of other code was found for this one",)
    return (
        Seen(
            wrong=(f"the code says 2, the cached result says {labs_found[1]}",) if labs_found[1] != 2 else ()
        ),
        Seen(wrong=wrong, right="run again with the new code; cached only while the code's digest stays"),
    )


def _build(image: Path, value: int) -> None:
    (image / "setting.py").write_text(SETTING.format(value=value))


def _run(world: World, image: Path, digest: str) -> tuple[str, str]:
    """The step's result and state, by the process runner with its cache on."""
    options = RunOptions(
        runs_dir=world.folder / "runs",
        project_root=image,
        cache_dir=world.folder / "cache",
        code_digest=digest,
        listener=lambda _: None,
        env={"PYTHONDONTWRITEBYTECODE": "1"},
    )
    result = run_pipeline(PIPELINE, {}, options)
    task = next(iter(result.tasks.values()))
    assert result.state == "succeeded", task.error
    return Path(str(task.outputs["made"]).removeprefix("file://")).read_text(), task.state


def _run_keys(world: World) -> list[str]:
    """Of one training set, trained by two images of one tag."""
    world.create("s20", readings(0, BATCH))
    keys = []
    for digest in ("sha256:1", "sha256:2"):
        settings = world.settings.model_copy(update={"image_digest": digest})
        loop = Loop(settings, use_case("s20"), world.folder / "loops" / digest)
        keys.append(loop.run("run", until="train_model").read("training", TrainedModel).lineage.run_key)
    return keys
