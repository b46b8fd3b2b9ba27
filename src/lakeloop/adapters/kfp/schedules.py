"""Recurring runs on Kubeflow Pipelines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakeloop.adapters.kfp.connection import TIMEOUT_SECONDS, answering, api_client
from lakeloop.adapters.kfp.runs import compiled, experiment_id
from lakeloop.adapters.kfp.states import milliseconds, remote_run
from lakeloop.domain.errors import LakeloopError, UserError
from lakeloop.domain.schedule import KnownRecurring, Recurring
from lakeloop.settings import Settings

if TYPE_CHECKING:
    from kfp_server_api import ApiClient, RecurringRunServiceApi, RunServiceApi

PAGE = 100
MOST_PAGES = 100
_PLACE = "Kubeflow Pipelines"


class KfpSchedules:
    """Implements `lakeloop.ports.schedules.Schedules`.

    Args:
        settings: where the API is.
        pipeline_file: the compiled pipeline of a name, scheduled as it is.
    """

    def __init__(self, settings: Settings, pipeline_file: Callable[[str], Path]) -> None:
        self._settings, self._pipeline_file = settings, pipeline_file

    def known(self) -> tuple[KnownRecurring, ...]:
        """Every recurring run, the oldest first."""
        found: list[KnownRecurring] = []
        token = ""
        for _ in range(MOST_PAGES):
            with answering(_PLACE):
                answer = self._api.recurring_run_service_list_recurring_runs(
                    page_size=PAGE,
                    page_token=token,
                    namespace=self._settings.kfp_profile or None,
                    _request_timeout=TIMEOUT_SECONDS,
                )
            page = self._client.sanitize_for_serialization(answer)
            found += [
                known_recurring(one) for one in page.get("recurringRuns") or page.get("recurring_runs") or []
            ]
            token = page.get("next_page_token") or ""
            if not token:
                return tuple(sorted(found, key=lambda one: (one.created_at_ms, one.recurring_run_id)))
        raise LakeloopError(f"more than {PAGE * MOST_PAGES} recurring runs", where=_PLACE)

    def create(self, wanted: Recurring) -> str:
        """One at a time, and what was missed stays missed: the next run sees all new snapshots anyway."""
        from kfp_server_api import (
            V2beta1CronSchedule,
            V2beta1RecurringRun,
            V2beta1RuntimeConfig,
            V2beta1Trigger,
        )

        body = V2beta1RecurringRun(
            display_name=wanted.name,
            description=wanted.full_description,
            experiment_id=experiment_id(self._client, self._settings, wanted.experiment),
            mode="ENABLE" if wanted.enabled else "DISABLE",
            pipeline_spec=compiled(self._pipeline_file(wanted.pipeline)),
            runtime_config=V2beta1RuntimeConfig(parameters=wanted.arguments),
            trigger=V2beta1Trigger(cron_schedule=V2beta1CronSchedule(cron=wanted.cron)),
            max_concurrency="1",
            no_catchup=True,
            service_account=wanted.service_account,
        )
        with answering(_PLACE):
            made = self._api.recurring_run_service_create_recurring_run(
                recurring_run=body, _request_timeout=TIMEOUT_SECONDS
            )
        return str(made.recurring_run_id)

    def disable(self, recurring_run_id: str) -> None:
        """It starts no run any more; one that is gone already is no error."""
        self._unless_gone(self._api.recurring_run_service_disable_recurring_run, recurring_run_id)

    def going_on(self, recurring_run_id: str) -> tuple[str, ...]:
        """Its runs that have not ended: their workflows are owned by its ScheduledWorkflow, and go with it."""
        found: list[str] = []
        token = ""
        for _ in range(MOST_PAGES):
            with answering(_PLACE):
                answer = self._runs.run_service_list_runs(
                    page_size=PAGE,
                    page_token=token,
                    sort_by="created_at desc",
                    namespace=self._settings.kfp_profile or None,
                    _request_timeout=TIMEOUT_SECONDS,
                )
            page = self._client.sanitize_for_serialization(answer)
            runs = [one for one in page.get("runs") or [] if one.get("recurring_run_id") == recurring_run_id]
            found += [one["run_id"] for one in runs if not remote_run(one).ended]
            token = page.get("next_page_token") or ""
            if not token:
                return tuple(found)
        raise LakeloopError(f"more than {PAGE * MOST_PAGES} runs", where=_PLACE)

    def delete(self, recurring_run_id: str) -> None:
        """With the runs of it that go on; one that is gone already is no error."""
        self._unless_gone(self._api.recurring_run_service_delete_recurring_run, recurring_run_id)

    def _unless_gone(self, call: Callable[..., Any], recurring_run_id: str) -> None:
        try:
            with answering(_PLACE):
                call(recurring_run_id=recurring_run_id, _request_timeout=TIMEOUT_SECONDS)
        except UserError:
            if any(one.recurring_run_id == recurring_run_id for one in self.known()):
                raise

    @cached_property
    def _client(self) -> ApiClient:
        return api_client(self._settings)

    @cached_property
    def _runs(self) -> RunServiceApi:
        from kfp_server_api import RunServiceApi

        return RunServiceApi(self._client)

    @cached_property
    def _api(self) -> RecurringRunServiceApi:
        from kfp_server_api import RecurringRunServiceApi

        return RecurringRunServiceApi(self._client)


def known_recurring(document: Mapping[str, Any]) -> KnownRecurring:
    """A V2beta1RecurringRun as JSON, as a value."""
    trigger = document.get("trigger") or {}
    return KnownRecurring(
        recurring_run_id=document["recurring_run_id"],
        name=document.get("display_name") or "",
        cron=(trigger.get("cron_schedule") or {}).get("cron") or "",
        enabled=(document.get("status") or document.get("mode") or "").startswith("ENABLE"),
        created_at_ms=milliseconds(document.get("created_at")) or 0,
        description=document.get("description") or "",
    )
