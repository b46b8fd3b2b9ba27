"""A run's documents as typed values; what is absent or unreadable is said, never guessed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import ValidationError

from lakeloop.domain.base import Frozen
from lakeloop.domain.batch import Batch, IngestResult
from lakeloop.domain.lineage import TrainingSet
from lakeloop.domain.plan import Plan
from lakeloop.domain.profile import Profile
from lakeloop.domain.rollout import Registration, Rollout
from lakeloop.domain.step_record import STEP_PREFIX, StepRecord
from lakeloop.domain.training import TrainedModel
from lakeloop.domain.verdict import Evaluation, Verdict

Document = TypeVar("Document", bound=Frozen)


@dataclass(frozen=True)
class RunDocuments:
    """What the steps of one pipeline run left in the journal.

    `unreadable` maps the name of a document that did not validate to the first problem found in it.
    """

    batch: Batch | None = None
    profile: Profile | None = None
    ingest: IngestResult | None = None
    plan: Plan | None = None
    training_set: TrainingSet | None = None
    training: TrainedModel | None = None
    verdict: Verdict | None = None
    evaluation: Evaluation | None = None
    registration: Registration | None = None
    rollout: Rollout | None = None
    refusal: Any = None
    steps: dict[str, StepRecord] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """True where no step left anything that can be read."""
        return not any(getattr(self, name) for name in (*_TYPES, "refusal", "steps"))


_TYPES: dict[str, type[Frozen]] = {
    "batch": Batch,
    "profile": Profile,
    "ingest": IngestResult,
    "plan": Plan,
    "training_set": TrainingSet,
    "training": TrainedModel,
    "verdict": Verdict,
    "evaluation": Evaluation,
    "registration": Registration,
    "rollout": Rollout,
}


def read_documents(raw: Mapping[str, Any]) -> RunDocuments:
    """Documents by name, as `RunJournal.documents` gives them, as values."""
    unreadable: dict[str, str] = {}
    values = {name: _value(raw, name, kind, unreadable) for name, kind in _TYPES.items()}
    names = [name for name in raw if name.startswith(STEP_PREFIX)]
    records = (_value(raw, name, StepRecord, unreadable) for name in names)
    return RunDocuments(
        **values,  # type: ignore[arg-type]  # each value is of its own field's type by construction
        refusal=raw.get("refusal"),
        steps={record.step: record for record in records if record},
        unreadable=unreadable,
    )


def _value(
    raw: Mapping[str, Any], name: str, kind: type[Document], unreadable: dict[str, str]
) -> Document | None:
    content = raw.get(name)
    if not content:
        return None
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or name
        unreadable[name] = f"{place}: {first['msg']}"
        return None
