"""A registered version becomes what serves: the one path of the pipeline's step, of rollback and of promote."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lakeloop.domain.errors import LakeloopError
from lakeloop.domain.features import FeatureEncoding
from lakeloop.domain.identity import identity_of
from lakeloop.domain.model_files import BOOSTER_FILE, ENCODING_FILE, IDENTITY_FILE
from lakeloop.domain.rollout import Candidate, Registration, Rollout, RolloutStep
from lakeloop.domain.training import TrainedModel
from lakeloop.domain.use_case import UseCase
from lakeloop.ports.deployer import Deployer
from lakeloop.ports.lake import Lake
from lakeloop.ports.models import ModelRegistry
from lakeloop.rollout import proof
from lakeloop.rollout.rolling_out import RollingOut, RolloutFailedError


@dataclass(frozen=True)
class Places:
    """Where rows, models and endpoints are."""

    lake: Lake
    registry: ModelRegistry
    deployer: Deployer


def redeploy(  # noqa: PLR0913, PLR0917 - what, where, and how it is told
    places: Places,
    use_case: UseCase,
    trained: TrainedModel,
    registration: Registration,
    check_turn: Callable[[], None],
    tell: Callable[[str], None],
) -> Rollout:
    """Prove the version with real rows, shift, verify, make it champion; back on any failure before that.

    Args:
        places: where.
        use_case: whose endpoint it is.
        trained: the training behind the version.
        registration: the version, and the champion that it follows.
        check_turn: raises ConflictError where this rollout must not promote any more; asked right before it does.
        tell: told of the progress.

    Raises:
        RolloutFailedError: the version is not live, what served before does again; also where it cannot be
            fetched, its bytes are not those that were trained, or there are no rows to prove it with.
    """
    name, version = registration.model_name, registration.version

    def promote() -> None:
        check_turn()
        places.registry.promote(name, version, registration.previous_champion)

    with tempfile.TemporaryDirectory(prefix="lakeloop-") as folder:
        tell(f"downloading {name} version {version}")
        try:
            model = places.registry.download(name, version, Path(folder))
            rows = _proof_rows(places.lake, use_case, trained, model, tell)
        except LakeloopError as error:
            raise RolloutFailedError(_not_started(places, use_case, version, error), error) from error
        return RollingOut(
            deployer=places.deployer,
            endpoint=use_case.endpoint,
            candidate=_candidate(trained, registration, model),
            rows=rows,
            tolerance=use_case.deployment.score_tolerance,
            promote=promote,
            tell=tell,
        ).run()


def _not_started(places: Places, use_case: UseCase, version: str, error: LakeloopError) -> Rollout:
    """The evidence of a version that cannot be fetched, or that there are no rows to prove with."""
    step = RolloutStep(name="prove", passed=False, detail=str(error))
    return Rollout(
        outcome="rolled_back",
        endpoint=use_case.endpoint,
        target=places.deployer.target,
        url="",
        version=version,
        steps=(step,),
    )


def _candidate(trained: TrainedModel, registration: Registration, model: Path) -> Candidate:
    identity = identity_of(trained, registration)
    (model / IDENTITY_FILE).write_text(identity.model_dump_json(indent=2), encoding="utf-8")
    return Candidate(identity=identity, model_folder=str(model))


def _proof_rows(
    lake: Lake, use_case: UseCase, trained: TrainedModel, model: Path, tell: Callable[[str], None]
) -> proof.ProofRows:
    """Holdout rows twice: as Spark computed their features, scored here, and raw, as callers send them."""
    table, training_set = use_case.table, trained.lineage.training_set
    encoding = FeatureEncoding.model_validate_json((model / ENCODING_FILE).read_bytes())
    key = list(table.order)
    tell("reading the newest holdout rows of the feature table")
    features = proof.newest_rows(
        lake.read_batches(
            training_set.feature_table,
            training_set.feature_snapshot_id,
            columns=list(dict.fromkeys([*key, *encoding.names])),
            range_ids=[training_set.newest_range_id],
        ),
        order=key,
        count=use_case.deployment.prove_rows,
    )
    tell(f"reading the same {features.num_rows} rows from {training_set.range.table}")
    raw = lake.read_batches(
        training_set.range.table,
        training_set.range.to_snapshot_id,
        columns=list(dict.fromkeys([*key, *encoding.raw_columns])),
        where=proof.listed_values(features, key),
    )
    scores = proof.offline_scores(proof.load_booster((model / BOOSTER_FILE).read_bytes()), encoding, features)
    return proof.proof_rows(features, scores, raw, key, encoding)
