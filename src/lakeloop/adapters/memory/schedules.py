"""Recurring runs in memory: they are kept, and never run."""

from __future__ import annotations

from lakeloop.domain.schedule import KnownRecurring, Recurring


class MemorySchedules:
    """Implements `lakeloop.ports.schedules.Schedules`."""

    def __init__(self) -> None:
        self._known: dict[str, KnownRecurring] = {}
        self._made = 0
        self.runs: dict[str, tuple[str, ...]] = {}

    def known(self) -> tuple[KnownRecurring, ...]:
        """Every recurring run, the oldest first."""
        return tuple(self._known.values())

    def create(self, wanted: Recurring) -> str:
        """Make it; its id."""
        self._made += 1
        made = KnownRecurring(
            recurring_run_id=f"recurring-{self._made}",
            name=wanted.name,
            cron=wanted.cron,
            enabled=wanted.enabled,
            created_at_ms=self._made,
            description=wanted.full_description,
        )
        self._known[made.recurring_run_id] = made
        return made.recurring_run_id

    def disable(self, recurring_run_id: str) -> None:
        """It starts no run any more."""
        if known := self._known.get(recurring_run_id):
            self._known[recurring_run_id] = known.model_copy(update={"enabled": False})

    def going_on(self, recurring_run_id: str) -> tuple[str, ...]:
        """As `runs` says."""
        return self.runs.get(recurring_run_id, ())

    def delete(self, recurring_run_id: str) -> None:
        """One that is gone already is no error."""
        self._known.pop(recurring_run_id, None)
