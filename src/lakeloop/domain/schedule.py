"""WHEN a pipeline runs by itself: one value, read from one file in `conf/schedules/`."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from lakeloop.domain.base import Frozen, canonical_json, sha256_hex
from lakeloop.domain.batch import BatchOptions
from lakeloop.domain.cron import cron_problem

ScheduleName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
PREFIX = "lakeloop-schedule-"
"""How the recurring runs that lakeloop made are called; others are left alone."""
_DIGEST = "lakeloop digest "


class ByClock(Frozen):
    """At fixed times."""

    kind: Literal["cron"]
    cron: str = Field(description="Six fields, seconds first, UTC: second minute hour day month weekday.")

    @field_validator("cron")
    @classmethod
    def _readable(cls, text: str) -> str:
        problem = cron_problem(text)
        if problem:
            raise ValueError(problem)
        return " ".join(text.split())


class BySnapshots(Frozen):
    """When the table has new snapshots: `lakeloop trigger` looks."""

    kind: Literal["snapshots"]
    min_rows: int = Field(
        default=1, ge=1, description="Fewer new rows wait. Rows that a writer did not count are enough."
    )
    quiet_seconds: float = Field(
        default=30.0, ge=0, description="Commits that follow each other faster than this are one."
    )
    longest_wait_seconds: float = Field(
        default=900.0, ge=0, description="A table that is never quiet is trained on after this."
    )
    cool_down_seconds: float = Field(
        default=300.0, ge=0, description="Between the starts of two runs, at least."
    )
    attempts: int = Field(
        default=3, ge=1, le=10, description="Runs for the same snapshot, when they fail without an outcome."
    )


When = Annotated[ByClock | BySnapshots, Field(discriminator="kind")]


class Schedule(Frozen):
    """One pipeline of one use case, and when it runs."""

    name: ScheduleName
    description: str = ""
    use_case: str = Field(min_length=1, description="Name in conf/use_cases, or a path.")
    pipeline: str = Field(default="retrain", description="Folder of pipelines/.")
    when: When
    batch: BatchOptions = Field(default=BatchOptions(), description="For pipelines that land a batch.")
    parameters: dict[str, str] = Field(
        default_factory=dict, description="Further parameters of the pipeline, e.g. older_than of tidy."
    )
    enabled: bool = True

    @model_validator(mode="after")
    def _snapshots_train(self) -> Self:
        if self.when.kind == "snapshots" and self.pipeline != "retrain":
            raise ValueError("when.kind snapshots starts pipeline retrain; use cron for others")
        return self

    @property
    def recurring_run(self) -> str:
        """The recurring run's name."""
        return f"{PREFIX}{self.name.replace('_', '-')}"


class Recurring(Frozen):
    """A recurring run as it should be."""

    name: str
    experiment: str
    pipeline: str
    pipeline_digest: str
    arguments: dict[str, str]
    cron: str
    enabled: bool
    service_account: str
    description: str = ""

    @property
    def content_digest(self) -> str:
        """Tells any change of what is run, with what, when and as whom; 16 hex digits."""
        return sha256_hex(canonical_json(self.model_dump(mode="json")))[:16]

    @property
    def full_description(self) -> str:
        """For people, with the digest behind it, by which an unchanged one is known."""
        return f"{self.description or 'made by lakeloop schedule apply'} [{_DIGEST}{self.content_digest}]"


class KnownRecurring(Frozen):
    """A recurring run as the service has it."""

    recurring_run_id: str
    name: str
    cron: str
    enabled: bool
    created_at_ms: int
    description: str = ""

    @property
    def content_digest(self) -> str:
        """As it was made; empty for one that lakeloop did not make."""
        _, found, rest = self.description.rpartition(f"[{_DIGEST}")
        return rest.removesuffix("]") if found else ""


Action = Literal["create", "replace", "keep", "delete", "leave"]


class ScheduleChange(Frozen):
    """What is to be done about one name."""

    action: Action
    name: str
    reason: str
    wanted: Recurring | None = None
    known: tuple[KnownRecurring, ...] = Field(
        default=(), description="Those that go, once `wanted` is there."
    )


def plan_changes(
    wanted: tuple[Recurring, ...], known: tuple[KnownRecurring, ...], *, prune: bool = False
) -> tuple[ScheduleChange, ...]:
    """From what there is to what is declared; what lakeloop did not make is never touched.

    Args:
        wanted: declared, names unique.
        known: recurring runs of the service.
        prune: also delete those that lakeloop made and nobody declares any more.
    """
    mine = [one for one in known if one.name.startswith(PREFIX)]
    changes = [_change(one, [k for k in mine if k.name == one.name]) for one in wanted]
    declared = {one.name for one in wanted}
    for name in sorted({one.name for one in mine} - declared):
        gone = tuple(one for one in mine if one.name == name)
        action: Action = "delete" if prune else "leave"
        reason = "declared no longer" if prune else "not declared; --prune deletes it"
        changes.append(ScheduleChange(action=action, name=name, reason=reason, known=gone))
    return tuple(changes)


def _change(wanted: Recurring, known: list[KnownRecurring]) -> ScheduleChange:
    if not known:
        return ScheduleChange(action="create", name=wanted.name, reason=wanted.cron, wanted=wanted)
    same = [k for k in known if k.content_digest == wanted.content_digest and k.enabled == wanted.enabled]
    if not same:
        reason = "; ".join(_differences(wanted, known[0])) or "pipeline, arguments or account changed"
        return ScheduleChange(
            action="replace", name=wanted.name, reason=reason, wanted=wanted, known=tuple(known)
        )
    kept = min(same, key=lambda k: (k.created_at_ms, k.recurring_run_id))
    doubles = tuple(k for k in known if k != kept)
    if doubles:
        return ScheduleChange(
            action="delete", name=wanted.name, reason="there is a double of it", known=doubles
        )
    return ScheduleChange(action="keep", name=wanted.name, reason="unchanged", wanted=wanted)


def _differences(wanted: Recurring, known: KnownRecurring) -> list[str]:
    told = [] if wanted.cron == known.cron else [f"cron {known.cron} -> {wanted.cron}"]
    if wanted.enabled != known.enabled:
        told.append("enabled" if wanted.enabled else "disabled")
    return told
