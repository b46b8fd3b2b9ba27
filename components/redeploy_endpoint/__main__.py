"""Prove the version in a real server, shift traffic, verify who answers, promote; go back on any failure."""

import getpass
import socket
import tempfile
import time
from pathlib import Path

from components.redeploy_endpoint import core, proof
from components.redeploy_endpoint.rolling_out import RollingOut, RolloutFailedError
from lakeloop import bootstrap
from lakeloop.domain.errors import ConflictError
from lakeloop.domain.features import FeatureEncoding
from lakeloop.domain.identity import identity_of
from lakeloop.domain.ledger import EventKind
from lakeloop.domain.model_files import BOOSTER_FILE, ENCODING_FILE, IDENTITY_FILE
from lakeloop.domain.rollout import Candidate, Registration, Rollout
from lakeloop.domain.training import TrainedModel
from lakeloop.ports.models import ModelRegistry
from lakeloop.recording import record
from lakeloop.runtime import light_xgboost  # noqa: F401 - before xgboost
from lakeloop.runtime.step import Step, progress, run_step


def body(step: Step) -> None:
    """Roll the registered version out and leave the evidence."""
    trained, registration = step.read("training", TrainedModel), step.read("registration", Registration)
    registry = bootstrap.model_registry(step.settings)
    _check_turn(registry, registration)
    with tempfile.TemporaryDirectory(prefix="lakeloop-") as folder:
        progress(f"downloading {registration.model_name} version {registration.version}")
        model = registry.download(registration.model_name, registration.version, Path(folder))
        try:
            rollout = _rolling_out(step, trained, registration, registry, model).run()
        except RolloutFailedError as error:
            _tell(step, trained, error.rollout, "rollout_failed", str(error))
            raise
    _tell(step, trained, rollout, "promoted", f"version {rollout.version} is verified live")
    step.write("endpoint_url_path", rollout.url)
    step.write("rollout_path", rollout)
    step.publish(
        "rollout",
        {
            "outcome": rollout.outcome,
            "url": rollout.url,
            "model_version": rollout.version,
            "snapshot_id": trained.lineage.training_set.range.to_snapshot_id,
            "run_key": trained.lineage.run_key,
        },
    )
    progress(f"version {rollout.version} answers at {rollout.url}")


def _check_turn(registry: ModelRegistry, registration: Registration) -> None:
    champion = registry.champion(registration.model_name)
    if champion not in {registration.previous_champion, registration.version}:
        raise ConflictError(
            f"the champion is version {champion} now, this version was judged against "
            f"{registration.previous_champion or 'none'}",
            where=registration.model_name,
            fix="run again: it is judged against the new champion",
        )


def _rolling_out(
    step: Step, trained: TrainedModel, registration: Registration, registry: ModelRegistry, model: Path
) -> RollingOut:
    deployment, identity = step.use_case.deployment, identity_of(trained, registration)
    (model / IDENTITY_FILE).write_text(identity.model_dump_json(indent=2), encoding="utf-8")
    return RollingOut(
        deployer=bootstrap.deployer(
            step.settings, deployment.target, deployment.port, deployment.timeout_seconds
        ),
        endpoint=step.use_case.endpoint,
        candidate=Candidate(identity=identity, model_folder=str(model)),
        rows=_proof_rows(step, trained, model),
        tolerance=deployment.score_tolerance,
        promote=lambda: registry.promote(
            registration.model_name, registration.version, registration.previous_champion
        ),
        tell=progress,
    )


def _proof_rows(step: Step, trained: TrainedModel, model: Path) -> proof.ProofRows:
    """Holdout rows twice: as Spark computed their features, scored here, and raw, as callers send them."""
    table, training_set = step.use_case.table, trained.lineage.training_set
    lake = bootstrap.lake(step.settings)
    encoding = FeatureEncoding.model_validate_json((model / ENCODING_FILE).read_bytes())
    key = list(dict.fromkeys([*table.key, table.event_time]))
    progress("reading the newest holdout rows of the feature table")
    features = proof.newest_rows(
        lake.read_batches(
            training_set.feature_table,
            training_set.feature_snapshot_id,
            columns=list(dict.fromkeys([*key, *encoding.names])),
            range_ids=[training_set.newest_range_id],
        ),
        order=[table.event_time, *table.key],
        count=step.use_case.deployment.prove_rows,
    )
    progress(f"reading the same {features.num_rows} rows from {training_set.range.table}")
    raw = lake.read_batches(
        training_set.range.table,
        training_set.range.to_snapshot_id,
        columns=list(dict.fromkeys([*key, *encoding.source_columns])),
        where=proof.listed_values(features, key),
    )
    scores = proof.offline_scores(proof.load_booster((model / BOOSTER_FILE).read_bytes()), encoding, features)
    return proof.proof_rows(features, scores, raw, key, list(encoding.source_columns))


def _tell(step: Step, trained: TrainedModel, rollout: Rollout, kind: EventKind, reason: str) -> None:
    bootstrap.journal(step.settings).record(step.pipeline_run_id, "rollout", rollout.model_dump(mode="json"))
    event = core.ledger_event(
        kind,
        trained,
        rollout,
        reason=reason,
        pipeline_run_id=step.pipeline_run_id,
        by=step.settings.pipeline_run_by or f"{getpass.getuser()}@{socket.gethostname()}",
        at_ms=time.time_ns() // 1_000_000,
    )
    record(bootstrap.ledger(step.settings), event)


if __name__ == "__main__":
    run_step("redeploy_endpoint", ["training", "registration", "endpoint_url_path", "rollout_path"], body)
