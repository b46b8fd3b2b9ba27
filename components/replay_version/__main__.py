"""Rebuild a model version from its lineage, and prove it identical or say what differs."""

from components.replay_version import core
from lakeloop import bootstrap
from lakeloop.domain.lineage import CodeIdentity
from lakeloop.domain.replay import Replay
from lakeloop.replaying import Places, replay_version
from lakeloop.runtime.code_digest import image_digest
from lakeloop.runtime.libraries import libraries_here
from lakeloop.runtime.step import Step, progress, run_step


def body(step: Step) -> None:
    """Leave the replay; a difference ends the step with exit code 1, after it was written down."""
    source = core.source_of(step.arguments["source"])
    _prepare(step)
    replay = replay_version(
        _places(step),
        step.use_case,
        step.arguments["version"],
        source,
        code=CodeIdentity(
            git_commit=step.settings.git_commit,
            image_digest=image_digest(step.settings, "lakeloop", "components.train_model"),
            libraries=libraries_here(),
        ),
        tell=progress,
    )
    _leave(step, replay)
    progress(core.told(replay))
    if replay.outcome != "identical":
        raise core.difference_error(replay)


def _prepare(step: Step) -> None:
    if step.use_case.train.engine == "local":  # xgboost.spark needs scikit-learn
        from lakeloop.runtime import light_xgboost  # noqa: F401 - before xgboost


def _places(step: Step) -> Places:
    settings = step.settings
    return Places(
        lake=bootstrap.lake(settings),
        ledger=bootstrap.ledger(settings),
        registry=bootstrap.model_registry(settings),
        recomputer=bootstrap.feature_recomputer(settings),
        trainer=bootstrap.distributed_trainer(settings),
    )


def _leave(step: Step, replay: Replay) -> None:
    step.write("replay_path", replay)
    step.publish(
        "replay",
        {
            "outcome": replay.outcome,
            "version": replay.version,
            "run_key": replay.run_key,
            "booster_sha256": str(replay.booster_sha256.now),
        },
    )
    bootstrap.journal(step.settings).record(step.pipeline_run_id, "replay", replay.model_dump(mode="json"))


if __name__ == "__main__":
    run_step("replay_version", ["version", "source", "replay_path"], body)
