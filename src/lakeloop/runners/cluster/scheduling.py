"""Schedules: from what is declared to the service's recurring runs, by a plan that is shown first."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from lakeloop.domain.schedule import (
    ByClock,
    KnownRecurring,
    Recurring,
    Schedule,
    ScheduleChange,
    plan_changes,
)
from lakeloop.domain.use_case import UseCase
from lakeloop.ports.schedules import Schedules
from lakeloop.runners.cluster.submission import content_digest, pipeline_arguments, pipeline_inputs


def recurring_of(
    schedule: Schedule, use_case: UseCase, pipeline_file: Path, service_account: str
) -> Recurring | None:
    """The recurring run that a schedule asks for; None where it goes by snapshots.

    Raises:
        UserError: the pipeline does not know a parameter, or lacks one.
    """
    if not isinstance(schedule.when, ByClock):
        return None
    inputs = pipeline_inputs(pipeline_file)
    return Recurring(
        name=schedule.recurring_run,
        experiment=f"lakeloop-{use_case.name}",
        pipeline=schedule.pipeline,
        pipeline_digest=content_digest(pipeline_file),
        arguments=pipeline_arguments(
            schedule.pipeline, inputs, use_case, schedule.batch, schedule.parameters
        ),
        cron=schedule.when.cron,
        enabled=schedule.enabled,
        service_account=service_account,
        description=schedule.description,
    )


def apply_changes(
    schedules: Schedules, changes: Iterable[ScheduleChange], tell: Callable[[str], None] = lambda _: None
) -> None:
    """Carry the plan out: the new one is there before the old one goes, so that none is missing after a crash.

    One whose run goes on is only switched off; applying again deletes it once the run has ended.

    Raises:
        LakeloopError: the service does not accept or does not answer; applying again goes on where this ended.
    """
    for change in changes:
        if change.action in {"create", "replace"} and change.wanted is not None:
            tell(f"{change.name}: made {schedules.create(change.wanted)}")
        if change.action in {"replace", "delete"}:
            for old in change.known:
                remove(schedules, old, tell)


def remove(schedules: Schedules, old: KnownRecurring, tell: Callable[[str], None]) -> bool:
    """Switch it off, then delete it, unless a run of it goes on: that would be killed without a word.

    Returns:
        Whether it is gone.
    """
    schedules.disable(old.recurring_run_id)
    runs = schedules.going_on(old.recurring_run_id)
    if runs:
        tell(f"{old.name}: {old.recurring_run_id} is off, and stays until its run {runs[0]} has ended")
        return False
    schedules.delete(old.recurring_run_id)
    tell(f"{old.name}: deleted {old.recurring_run_id}")
    return True


def applied(
    schedules: Schedules,
    wanted: tuple[Recurring, ...],
    changes: tuple[ScheduleChange, ...],
    tell: Callable[[str], None] = lambda _: None,
) -> tuple[ScheduleChange, ...]:
    """Carry out, look again, and take back what somebody else made at the same moment; what is left to do."""
    apply_changes(schedules, changes, tell)
    done = {old for change in changes for old in (one.recurring_run_id for one in change.known)}
    again = [c for c in plan_changes(wanted, schedules.known()) if c.action == "delete"]
    doubles = [c for c in again if not done.intersection(one.recurring_run_id for one in c.known)]
    apply_changes(schedules, doubles, tell)
    return tuple(c for c in plan_changes(wanted, schedules.known()) if c.action not in {"keep", "leave"})
