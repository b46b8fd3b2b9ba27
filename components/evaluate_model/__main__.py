"""Score challenger and champion on the same holdout rows now; say promote or reject, and why."""

import tempfile
import time
from pathlib import Path

import numpy as np

from lakeloop.runtime import light_xgboost  # noqa: F401 - before xgboost

# isort: split
from components.evaluate_model import core
from lakeloop import bootstrap
from lakeloop.claiming import now_ms
from lakeloop.domain.errors import LakeloopError
from lakeloop.domain.feature_rows import SLICE_PREFIX
from lakeloop.domain.features import FeatureEncoding
from lakeloop.domain.ledger import LedgerEvent, event_id
from lakeloop.domain.training import TrainedModel
from lakeloop.domain.verdict import Evaluation, Verdict
from lakeloop.pinning import unpin_training
from lakeloop.recording import record
from lakeloop.runtime.claimant import claimant_of, recorded_by
from lakeloop.runtime.step import Step, progress, run_step
from lakeloop.serving.expressions import raw_to_features
from lakeloop.side_by_side import HeldOut, SameRows, held_out
from lakeloop.training import scoring
from lakeloop.training.curves import evaluation
from lakeloop.training.model_folder import Model, read_model


def body(step: Step) -> None:
    """Leave verdict, decision and evaluation; a rejection consumes the range."""
    trained = step.read("training", TrainedModel)
    with claimant_of(step).holding(trained.lineage.training_set.range, "judging"):
        verdict, evaluated = _evaluate(step, trained)
        if verdict.decision == "reject":  # before the outcome: after it, a rerun finds nothing to do here
            read, lake = trained.lineage.training_set, bootstrap.lake(step.settings)
            unpin_training(lake, read.use_case, step.pipeline_run_id, read.range.table, read.feature_table)
        record(bootstrap.ledger(step.settings), _judged(step, trained, verdict))
    _leave(step, trained, verdict, evaluated)


def _evaluate(step: Step, trained: TrainedModel) -> tuple[Verdict, Evaluation]:
    tracker = bootstrap.run_tracker(step.settings)
    progress(f"reading the holdout of {trained.holdout_rows} rows")
    held = held_out(bootstrap.lake(step.settings), step.use_case, trained)
    with tempfile.TemporaryDirectory(prefix="lakeloop-") as scratch:
        challenger = read_model(tracker.fetch(trained, Path(scratch)))
    verdict, evaluated = _judge(step, trained, held, challenger)
    tracker.log_verdict(trained.mlflow_run_id, verdict)
    return verdict, evaluated


def _judge(step: Step, trained: TrainedModel, held: HeldOut, challenger: Model) -> tuple[Verdict, Evaluation]:
    rows, holdout = held.rows, held.holdout
    started, gate, seed = time.monotonic(), step.use_case.gate, step.use_case.train.seed
    matrix, labels = rows.encoder(challenger.encoding), rows.labels[holdout]
    progress(f"scoring the challenger on {len(holdout)} rows")
    scored = scoring.scores(challenger.booster, challenger.encoding, matrix, holdout)
    champion = _champion(step, trained, held, challenger.encoding)
    if isinstance(champion, str):
        verdict = core.confirmed(gate, champion, len(holdout), int(labels.sum()))
        champion = None
    else:
        progress(f"{gate.bootstrap_samples} paired resamples")
        slices = {
            name.removeprefix(SLICE_PREFIX): np.array(column.to_pylist(), dtype=object)[holdout]
            for name, column in zip(rows.extra.column_names, rows.extra.columns, strict=True)
        }
        rate = core.label_rate_checks(step.use_case.expectations.label_rate, held.labels)
        verdict = core.verdict(gate, core.Holdout(labels, slices), scored, champion, seed, rate)
    models = {"challenger": scored}
    if champion is not None and champion.scores is not None:
        models[f"champion v{champion.version}"] = champion.scores
    importance, shap_rows = scoring.shap_importance(
        challenger.booster, challenger.encoding, matrix, holdout, seed
    )
    seconds = round(time.monotonic() - started, 3)
    return (
        verdict.model_copy(update={"scoring_seconds": seconds}),
        evaluation(labels, models, importance, shap_rows),
    )


def _champion(
    step: Step, trained: TrainedModel, held: HeldOut, encoding: FeatureEncoding
) -> core.ChampionScores | str | None:
    """The champion's scores; its version where it is this very training; None where there is no champion."""
    registry, name = bootstrap.model_registry(step.settings), step.use_case.name
    version = registry.champion(name)
    if version is None:
        return None
    if registry.trained(name, version).lineage.run_key == trained.lineage.run_key:
        return version
    progress(f"scoring champion v{version} on the same rows")
    with tempfile.TemporaryDirectory(prefix="lakeloop-") as scratch:
        model = read_model(registry.download(name, version, Path(scratch)))
    asked = SameRows(bootstrap.lake(step.settings), step.use_case.table, trained, held, encoding)
    try:
        found = asked.scores(model, raw_to_features)
    except LakeloopError as error:
        return core.ChampionScores(version, problem=str(error))
    return core.ChampionScores(version, found)


def _judged(step: Step, trained: TrainedModel, verdict: Verdict) -> LedgerEvent:
    """The verdict's event: `rejected` consumes the range, `accepted` leaves that to the promotion."""
    training_set, run_key = trained.lineage.training_set, trained.lineage.run_key
    rejected = verdict.decision == "reject"
    return LedgerEvent(
        event_id=event_id(run_key, "rejected")
        if rejected
        else event_id(run_key, "accepted", step.pipeline_run_id),
        use_case=trained.lineage.use_case,
        kind="rejected" if rejected else "accepted",
        at_ms=now_ms(),
        by=recorded_by(step.settings),
        reason="; ".join(verdict.reasons),
        pipeline_run_id=step.pipeline_run_id,
        run_key=run_key,
        range=training_set.range,
        schema_id=training_set.schema_id,
        columns=training_set.watermark_columns,
        mlflow_run_id=trained.mlflow_run_id,
        document=verdict.model_dump_json(),
    )


def _leave(step: Step, trained: TrainedModel, verdict: Verdict, evaluated: Evaluation) -> None:
    step.write("decision_path", verdict.decision)
    step.write("verdict_path", verdict)
    step.write("evaluation_path", evaluated)
    step.publish(
        "verdict",
        {
            "decision": verdict.decision,
            "run_key": trained.lineage.run_key,
            "champion_version": verdict.champion_version or "",
            "reasons": "; ".join(verdict.reasons),
        },
    )
    journal = bootstrap.journal(step.settings)
    journal.record(step.pipeline_run_id, "verdict", verdict.model_dump(mode="json"))
    journal.record(step.pipeline_run_id, "evaluation", evaluated.model_dump(mode="json"))
    progress(f"{verdict.decision}: {'; '.join(verdict.reasons)}")


if __name__ == "__main__":
    run_step("evaluate_model", ["training", "decision_path", "verdict_path", "evaluation_path"], body)
