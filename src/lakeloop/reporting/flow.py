"""The steps of a retrain run with what became of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from lakeloop.domain.batch import Batch, IngestResult
from lakeloop.domain.lineage import TrainingSet
from lakeloop.domain.rollout import Registration, Rollout
from lakeloop.domain.training import TrainedModel
from lakeloop.domain.verdict import Verdict
from lakeloop.reporting import wording
from lakeloop.reporting.documents import RunDocuments
from lakeloop.reporting.status import CANCELLED, FAILED, FinalStatus

State = Literal["done", "failed", "refused", "rejected", "not needed", "not reached", "unknown"]
STEPS = (
    "generate_batch",
    "profile_batch",
    "ingest_batch",
    "build_training_set",
    "train_model",
    "evaluate_model",
    "register_model",
    "redeploy_endpoint",
)
TITLES = {
    "generate_batch": "Batch",
    "profile_batch": "Profile",
    "ingest_batch": "Ingest",
    "build_training_set": "Training set",
    "train_model": "Train",
    "evaluate_model": "Evaluate",
    "register_model": "Register",
    "redeploy_endpoint": "Redeploy",
}
_SERVING = frozenset({"live", "already_live"})
_MADE: dict[str, Callable[[RunDocuments], object]] = {
    "generate_batch": lambda documents: documents.batch,
    "profile_batch": lambda documents: documents.profile,
    "ingest_batch": lambda documents: documents.ingest,
    "build_training_set": lambda documents: documents.training_set or documents.plan,
    "train_model": lambda documents: documents.training,
    "evaluate_model": lambda documents: documents.verdict,
    "register_model": lambda documents: documents.registration,
    "redeploy_endpoint": lambda documents: documents.rollout,
}


@dataclass(frozen=True)
class FlowStep:
    """One step of the picture; `duration` is the step's wall time where it is recorded."""

    name: str
    title: str
    state: State
    duration: str
    note: str


def flow(documents: RunDocuments, status: FinalStatus) -> tuple[FlowStep, ...]:
    """All steps in the order of the pipeline."""
    broken = failed_step(documents, status)
    return tuple(
        FlowStep(name, TITLES[name], _state(name, documents, broken), _duration(name, documents), note)
        for name, note in ((name, _note(name, documents)) for name in STEPS)
    )


def failed_step(documents: RunDocuments, status: FinalStatus) -> str | None:
    """The step that ended the run: recorded as failed, named by the runner, or the first that left nothing.

    None where the run did not fail, or ended in a refusal (which is a decision, not a breakdown).
    """
    recorded = [name for name in STEPS if name in documents.steps and not _succeeded(name, documents)]
    if recorded and not refused_step(documents):
        return recorded[0]
    if status.state not in {FAILED, CANCELLED} or refused_step(documents):
        return None
    said = f"{status.task} {status.error}".replace("-", "_")
    named = [name for name in STEPS if name in said]
    missing = [name for name in STEPS if not _left_something(name, documents) and name != "profile_batch"]
    return next(iter([*named, *missing]), None)


def refused_step(documents: RunDocuments) -> str | None:
    """The step that refused to go on, if one did; one that a resumed run has left behind counts no more."""
    if documents.ingest and documents.ingest.outcome == "refused":
        return "ingest_batch"
    if documents.plan and documents.plan.action == "refuse":
        return "build_training_set"
    if documents.refusal and not (documents.plan or documents.training_set):
        return "build_training_set" if documents.ingest else "ingest_batch"
    return None


def nothing_new(documents: RunDocuments) -> bool:
    """True where the planner found no new rows to train on."""
    return bool(documents.plan and documents.plan.action == "nothing")


def _succeeded(name: str, documents: RunDocuments) -> bool:
    return name in documents.steps and documents.steps[name].state == "succeeded"


def _left_something(name: str, documents: RunDocuments) -> bool:
    return bool(_MADE[name](documents)) or _succeeded(name, documents)


def _state(name: str, documents: RunDocuments, broken: str | None) -> State:
    if name == broken or (name == "redeploy_endpoint" and _rollout_failed(documents.rollout)):
        return "failed"
    if name == refused_step(documents):
        return "refused"
    if name == "evaluate_model" and documents.verdict and documents.verdict.decision == "reject":
        return "rejected"
    if _left_something(name, documents):
        return "done"
    if name in documents.unreadable:
        return "unknown"
    return "not needed" if _not_needed(name, documents) else "not reached"


def _rollout_failed(rollout: Rollout | None) -> bool:
    return rollout is not None and rollout.outcome not in _SERVING


def _not_needed(name: str, documents: RunDocuments) -> bool:
    position = STEPS.index(name)
    after_plan = position > STEPS.index("build_training_set")
    rejected = documents.verdict is not None and documents.verdict.decision == "reject"
    return (after_plan and nothing_new(documents)) or (position > STEPS.index("evaluate_model") and rejected)


def _duration(name: str, documents: RunDocuments) -> str:
    record = documents.steps.get(name)
    return wording.seconds(record.seconds) if record else ""


def _note(name: str, documents: RunDocuments) -> str:
    """The part of a step's time that is the engine's, or what the step came to."""
    made, note = _MADE[name](documents), ""
    match made:
        case Batch(rows=int(rows)):
            note = wording.counted(rows, "row")
        case IngestResult() | TrainingSet():
            note = _engine("Spark", made.spark_seconds)
        case TrainedModel():
            note = _engine("XGBoost", made.train_seconds)
        case Verdict():
            note = _engine("scoring", made.scoring_seconds)
        case Registration():
            note = f"version {made.version}"
        case Rollout():
            note = made.outcome.replace("_", " ")
    return note


def _engine(engine: str, spent: float) -> str:
    return f"{engine} {wording.seconds(spent)}" if spent else ""
