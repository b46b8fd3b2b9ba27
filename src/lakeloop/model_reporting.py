"""The newest model of a use case, and another one that it is compared with, scored on the same held-out rows."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from lakeloop.domain.errors import LakeloopError, UserError
from lakeloop.domain.ledger import LedgerEvent
from lakeloop.domain.model_report import Candidate, Report, model_report
from lakeloop.domain.training import TrainedModel
from lakeloop.domain.use_case import UseCase
from lakeloop.domain.verdict import Verdict
from lakeloop.ports.journal import RunJournal
from lakeloop.ports.lake import Lake
from lakeloop.ports.ledger import Ledger
from lakeloop.ports.models import ModelRegistry, RunTracker
from lakeloop.side_by_side import SameRows, Scores, ToFeatures, held_out
from lakeloop.training import scoring
from lakeloop.training.curves import evaluation
from lakeloop.training.model_folder import Model, read_model

Tell = Callable[[str], None]
IsCodeOf = Callable[[str], bool]
"""Whether a commit is part of the branch that is asked for."""


@dataclass(frozen=True)
class ModelPlaces:
    """Where models, their rows and their story are."""

    lake: Lake
    ledger: Ledger
    journal: RunJournal
    tracker: RunTracker
    registry: ModelRegistry


@dataclass(frozen=True)
class Judged:
    """A training with what the gate said of it."""

    trained: TrainedModel
    version: str | None
    verdict: Verdict


@dataclass(frozen=True)
class Other:
    """What a model is compared with, and where that one is."""

    places: ModelPlaces
    version: str
    name: str


def newest_judged(places: ModelPlaces, name: str, version: str | None = None) -> Judged:
    """The training that the gate judged last, or the one behind a version.

    Raises:
        UserError: there is none.
    """
    events = places.ledger.events(name)
    if version is not None:
        trained = places.registry.trained(name, version)
        events = [e for e in events if e.run_key == trained.lineage.run_key]
    judged = [e for e in events if e.kind in {"accepted", "rejected"} and e.document]
    if not judged:
        raise UserError(
            "no model has been judged yet" if version is None else f"nobody judged version {version}",
            where=name,
            fix=f"lakeloop run {name}",
        )
    event = judged[-1]
    versions = [e.model_version for e in events if e.run_key == event.run_key and e.model_version]
    found = versions[-1] if versions else version
    return Judged(_training(places, event, found), found, Verdict.model_validate_json(event.document))


def _training(places: ModelPlaces, event: LedgerEvent, version: str | None) -> TrainedModel:
    if version is not None:
        return places.registry.trained(event.use_case, version)
    document = places.journal.documents(event.pipeline_run_id).get("training")
    if document is None:
        raise UserError(
            f"the documents of run {event.pipeline_run_id} are gone",
            where=event.use_case,
            fix="train again, or name a registered version with --version",
        )
    return TrainedModel.model_validate(document)


def version_of_code(places: ModelPlaces, name: str, is_code_of: IsCodeOf, without: str) -> str | None:
    """The version that was promoted last of those that the code made; None where there is none.

    Args:
        places: where versions are.
        name: of the use case.
        is_code_of: whether a commit is part of that code.
        without: run key of the training that is to be compared with it.
    """
    promoted = [e for e in places.ledger.events(name, documents=False) if e.kind == "promoted"]
    for version in dict.fromkeys(e.model_version for e in reversed(promoted) if e.model_version):
        lineage = places.registry.trained(name, version).lineage
        if lineage.run_key != without and is_code_of(lineage.code.git_commit):
            return version
    return None


def reported(  # noqa: PLR0913
    places: ModelPlaces,
    judged: Judged,
    other: Other | None,
    to_features: ToFeatures,
    *,
    note: str = "",
    tell: Tell = lambda _: None,
) -> Report:
    """Score both models on the rows that the first one's training held out.

    Args:
        places: of the first model.
        judged: the first model.
        other: the second one.
        to_features: raw columns -> features, where the second one's features are defined otherwise.
        note: for the reader.
        tell: told of the progress.

    Raises:
        UserError: nothing can be measured on the rows.
        LakeloopError: rows or models cannot be read.
    """
    use_case = _as_trained(judged.trained)
    tell(f"reading the {judged.trained.holdout_rows:,} rows that were held out")
    held = held_out(places.lake, use_case, judged.trained)
    with tempfile.TemporaryDirectory(prefix="lakeloop-") as scratch:
        model = read_model(places.tracker.fetch(judged.trained, Path(scratch)))
    matrix, labels = held.rows.encoder(model.encoding), held.rows.labels[held.holdout]
    if len(np.unique(labels)) < 2:  # noqa: PLR2004 - both classes
        raise UserError(
            "the held-out rows have one class only", where=use_case.name, fix="train on more rows"
        )
    scores = scoring.scores(model.booster, model.encoding, matrix, held.holdout)
    candidate = Candidate(
        name="this model", version=judged.version, trained=judged.trained, features=_features(model)
    )
    same_rows = SameRows(places.lake, use_case.table, judged.trained, held, model.encoding)
    second, problem = _second(other, use_case, same_rows, to_features, tell)
    report = model_report(
        use_case,
        labels,
        (candidate, scores),
        second,
        decision=judged.verdict.decision,
        reasons=judged.verdict.reasons,
        note=" ".join(filter(None, [note, problem])),
    )
    seed = use_case.train.seed
    importance, rows = scoring.shap_importance(model.booster, model.encoding, matrix, held.holdout, seed)
    models = {"challenger": scores} | ({second[0].name: second[1]} if second else {})
    return Report(report=report, evaluation=evaluation(labels, models, importance, rows))


def _second(
    other: Other | None, use_case: UseCase, rows: SameRows, to_features: ToFeatures, tell: Tell
) -> tuple[tuple[Candidate, Scores] | None, str]:
    """The other model with its scores, or why it has none."""
    if other is None:
        return None, ""
    tell(f"scoring {other.name} on the same rows")
    registry, name = other.places.registry, use_case.name
    trained = registry.trained(name, other.version)
    with tempfile.TemporaryDirectory(prefix="lakeloop-") as scratch:
        model = read_model(registry.download(name, other.version, Path(scratch)))
    try:
        scores = rows.scores(model, to_features)
    except LakeloopError as error:
        return None, f"{other.name} cannot be scored on these rows: {error}"
    newest, theirs = rows.trained.lineage.training_set.newest_range_id, trained.lineage.training_set
    seen = newest in theirs.range_ids and newest != theirs.newest_range_id
    warning = f"{other.name} was trained on these rows, so it looks better than it is." if seen else ""
    candidate = Candidate(name=other.name, version=other.version, trained=trained, features=_features(model))
    return (candidate, scores), warning


def _features(model: Model) -> tuple[str, ...]:
    return tuple(model.encoding.names)


def _as_trained(trained: TrainedModel) -> UseCase:
    try:
        return UseCase.model_validate(trained.use_case)
    except ValidationError as error:
        raise UserError(
            "its use case is not one of this version of lakeloop",
            where=f"training {trained.lineage.run_key}",
            fix="report with the code that trained it",
        ) from error
