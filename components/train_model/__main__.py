"""Train once a run key: find the run, else train, then log run, dataset, metrics and model."""

import tempfile
from pathlib import Path

from lakeloop import bootstrap
from lakeloop.domain.base import canonical_json
from lakeloop.domain.feature_rows import layout_of
from lakeloop.domain.features import FeatureEncoding
from lakeloop.domain.lineage import CodeIdentity, Lineage, TrainingSet, run_key
from lakeloop.domain.model_files import BOOSTER_FILE, ENCODING_FILE
from lakeloop.domain.trained_booster import Champion, TrainedBooster
from lakeloop.domain.training import TrainedModel
from lakeloop.domain.training_memory import refuse_too_large
from lakeloop.free_memory import available_bytes
from lakeloop.runtime.claimant import claimant_of
from lakeloop.runtime.code_digest import image_digest
from lakeloop.runtime.libraries import libraries_here
from lakeloop.runtime.step import Step, progress, run_step


def body(step: Step) -> None:
    """Leave the training, found or made."""
    lineage = _lineage(step, step.read("training_set", TrainingSet))
    progress("looking for this training among the runs")
    with claimant_of(step).holding(lineage.training_set.range, "training"):
        trained = bootstrap.run_tracker(step.settings).find(lineage)
        if trained is None:
            trained = _train_and_log(step, lineage)
        else:
            progress(f"found: run {trained.mlflow_run_id} has trained exactly this; nothing to do")
    step.write("training_path", trained)
    step.publish("training", _metadata(trained))
    bootstrap.journal(step.settings).record(step.pipeline_run_id, "training", trained.model_dump(mode="json"))


def _lineage(step: Step, training_set: TrainingSet) -> Lineage:
    code = CodeIdentity(
        git_commit=step.settings.git_commit,
        image_digest=image_digest(step.settings, "lakeloop", "components.train_model"),
        libraries=libraries_here(),
    )
    digest, seed = step.use_case.digest(), step.use_case.train.seed
    return Lineage(
        run_key=run_key(training_set.range, digest, code.image_digest, seed),
        use_case=step.use_case.name,
        use_case_digest=digest,
        training_set=training_set,
        code=code,
        seed=seed,
    )


def _train_and_log(step: Step, lineage: Lineage) -> TrainedModel:
    if step.use_case.train.engine == "local":  # xgboost.spark needs scikit-learn
        from lakeloop.runtime import light_xgboost  # noqa: F401 - before xgboost
    from components.train_model import core

    made = _train(step, lineage.training_set)
    with tempfile.TemporaryDirectory(prefix="lakeloop-") as scratch:
        folder = Path(scratch)
        files = core.model_files(made)
        for name, content in files.items():
            (folder / name).write_bytes(content)
        progress("logging run, dataset and model to MLflow")
        return bootstrap.run_tracker(step.settings).log_training(
            core.trained_model(made, lineage, step.use_case),
            folder,
            made.encoding,
            made.example,
            _parameters(step, made),
        )


def _train(step: Step, training_set: TrainingSet) -> TrainedBooster:
    lake = bootstrap.lake(step.settings)
    state = lake.table_state(training_set.range.table)
    raw_columns = {column.name: column.type for column in state.columns} if state else {}
    if step.use_case.train.engine == "spark":
        trainer = bootstrap.distributed_trainer(step.settings)
        return trainer.train(step.use_case, training_set, raw_columns, progress)
    refuse_too_large(step.use_case, training_set, available_bytes())
    from components.train_model import core

    progress(f"reading {training_set.rows} rows of {training_set.feature_table}")
    batches = lake.read_batches(
        training_set.feature_table,
        training_set.feature_snapshot_id,
        columns=layout_of(step.use_case, training_set).columns,
        range_ids=training_set.range_ids,
    )
    return core.train(
        step.use_case,
        training_set,
        batches,
        raw_columns=raw_columns,
        champion=_champion(step),
        report=progress,
    )


def _champion(step: Step) -> Champion | None:
    """Warm start continues what is promoted now; other policies fetch nothing."""
    if step.use_case.train.window.policy != "warm_start":
        return None
    registry, name = bootstrap.model_registry(step.settings), step.use_case.name
    champion = registry.champion(name)
    if champion is None:
        return None
    with tempfile.TemporaryDirectory(prefix="lakeloop-") as scratch:
        folder = registry.download(name, champion, Path(scratch))
        encoding = FeatureEncoding.model_validate_json((folder / ENCODING_FILE).read_bytes())
        return Champion(champion, (folder / BOOSTER_FILE).read_bytes(), encoding)


def _parameters(step: Step, made: TrainedBooster) -> dict[str, str]:
    train = step.use_case.train
    window = {"window.policy": train.window.policy, "holdout.fraction": train.holdout.fraction}
    own = {
        "rounds": train.rounds,
        "early_stopping_rounds": train.early_stopping_rounds,
        "engine": train.engine,
    }
    features = {"features": canonical_json(made.encoding.names)}
    values = {**own, **window, "seed": train.seed, **features, **made.notes}
    values |= {f"xgboost.{name}": value for name, value in train.params.items()}
    return {name: str(value) for name, value in values.items()}


def _metadata(trained: TrainedModel) -> dict[str, str]:
    range_ = trained.lineage.training_set.range
    return {
        "run_key": trained.lineage.run_key,
        "mlflow_run_id": trained.mlflow_run_id,
        "model_uri": trained.model_uri,
        "model_digest": trained.model_digest,
        "table": range_.table,
        "from_snapshot_id": range_.from_snapshot_id or "",
        "to_snapshot_id": range_.to_snapshot_id,
        "feature_snapshot_id": trained.lineage.training_set.feature_snapshot_id,
    }


if __name__ == "__main__":
    run_step("train_model", ["training_set", "training_path"], body)
