"""Recurring runs of a service that runs pipelines."""

from __future__ import annotations

from typing import Protocol

from lakeloop.domain.schedule import KnownRecurring, Recurring


class Schedules(Protocol):
    """Every call has a time limit. A service that does not answer raises `ServiceAwayError`."""

    def known(self) -> tuple[KnownRecurring, ...]:
        """Every recurring run, whoever made it, the oldest first."""

    def create(self, wanted: Recurring) -> str:
        """Make it, whatever there is of this name; its id.

        Raises:
            UserError: the service does not accept the expression, the pipeline or its arguments.
        """

    def disable(self, recurring_run_id: str) -> None:
        """It starts no run any more; one that is gone already is no error."""

    def going_on(self, recurring_run_id: str) -> tuple[str, ...]:
        """Ids of its runs that have not ended: deleting it would take them along."""

    def delete(self, recurring_run_id: str) -> None:
        """With the runs of it that go on; one that is gone already is no error."""
