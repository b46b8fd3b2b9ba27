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

    def delete(self, recurring_run_id: str) -> None:
        """One that is gone already is no error."""
