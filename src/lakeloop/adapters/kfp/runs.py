"""Runs on Kubeflow Pipelines, through the SDK's generated client."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from lakeloop.adapters.kfp.connection import TIMEOUT_SECONDS, answering, api_client
from lakeloop.adapters.kfp.pods import RunPods
from lakeloop.adapters.kfp.states import remote_run
from lakeloop.domain.errors import ServiceAwayError, UserError
from lakeloop.domain.remote_run import RemoteRun, StepLog, Submission
from lakeloop.settings import Settings

if TYPE_CHECKING:
    from kfp_server_api import ApiClient, RunServiceApi

PAUSES_SECONDS = (2.0, 5.0, 10.0)
"""Between lost answers to a submission, and the look whether it arrived."""
SETTLE_SECONDS = 1.5
PAGE = 100


class KfpPipelines:
    """Implements `lakeloop.ports.pipelines.PipelineService` and `lakeloop.ports.submitter.Submitter`.

    Args:
        settings: where the API is.
        pipeline_file: the compiled pipeline of a name, sent as it is.
    """

    def __init__(self, settings: Settings, pipeline_file: Callable[[str], Path]) -> None:
        self._settings, self._pipeline_file = settings, pipeline_file
        self._pods = RunPods(settings)

    def start(self, submission: Submission) -> str:
        """The run of this name: found, or started once. A lost answer is looked up before anything is sent again.

        Of two that were started at once the older stays: the younger is terminated by whoever started it.
        """
        return self.find(submission.name) or self._sent(submission)

    def _sent(self, submission: Submission) -> str:
        """Send; after a lost answer look for the run, and send again only where there is none."""
        for pause in PAUSES_SECONDS:
            try:
                mine = self._create(submission)
                return self._oldest_stays(submission.name, mine) if submission.keyed else mine
            except ServiceAwayError:
                time.sleep(pause)
            with suppress(ServiceAwayError):
                if found := self.find(submission.name):
                    return found
        return self.find(submission.name) or self._create(submission)

    def find(self, name: str) -> str | None:
        """Id of the oldest run of this name."""
        runs = self._named(name)
        return runs[0]["run_id"] if runs else None

    def look(self, run_id: str) -> RemoteRun:
        """The run now."""
        with self._answering():
            answer = self._api.run_service_get_run(run_id=run_id, _request_timeout=TIMEOUT_SECONDS)
        return remote_run(self._json(answer))

    def ended(self, run_id: str) -> bool:
        """Whether nothing of the run goes on, also because there is no such run."""
        try:
            return self.look(run_id).ended
        except UserError:
            return True

    def step_log(self, run_id: str, task: str, lines: int) -> StepLog | None:
        """The end of the newest attempt's log; None where pods cannot be read."""
        return self._pods.step_log(run_id, task, lines)

    def terminate(self, run_id: str) -> None:
        """Ask the run to end now."""
        if self.look(run_id).ended:
            return
        with self._answering():
            self._api.run_service_terminate_run(run_id=run_id, _request_timeout=TIMEOUT_SECONDS)

    def link(self, run_id: str) -> str:
        """The run's page, or the API's address of the run."""
        if self._settings.kfp_ui_url:
            return f"{self._settings.kfp_ui_url.rstrip('/')}/#/runs/details/{run_id}"
        return f"{self._client.configuration.host}/apis/v2beta1/runs/{run_id}"

    @cached_property
    def _client(self) -> ApiClient:
        return api_client(self._settings)

    @cached_property
    def _api(self) -> RunServiceApi:
        from kfp_server_api import RunServiceApi

        return RunServiceApi(self._client)

    def _answering(self) -> Any:
        return answering("Kubeflow Pipelines")

    def _json(self, value: Any) -> Any:
        return self._client.sanitize_for_serialization(value)

    def _named(self, name: str) -> list[dict[str, Any]]:
        wanted = {"predicates": [{"operation": "EQUALS", "key": "display_name", "stringValue": name}]}
        with self._answering():
            answer = self._api.run_service_list_runs(
                page_size=PAGE,
                sort_by="created_at asc",
                filter=json.dumps(wanted),
                namespace=self._settings.kfp_profile or None,
                _request_timeout=TIMEOUT_SECONDS,
            )
        runs: list[dict[str, Any]] = self._json(answer).get("runs") or []
        return sorted(runs, key=lambda run: (run["created_at"], run["run_id"]))

    def _oldest_stays(self, name: str, mine: str) -> str:
        # Who sent at the same moment has been recorded by then: both see both, and agree.
        time.sleep(SETTLE_SECONDS)
        oldest = self.find(name)
        if oldest is None or oldest == mine:
            return mine
        self.terminate(mine)
        return oldest

    def _create(self, submission: Submission) -> str:
        from kfp_server_api import V2beta1Run, V2beta1RuntimeConfig

        body = V2beta1Run(
            display_name=submission.name,
            description=submission.description,
            experiment_id=experiment_id(self._client, self._settings, submission.experiment),
            pipeline_spec=compiled(self._pipeline_file(submission.pipeline)),
            runtime_config=V2beta1RuntimeConfig(parameters=submission.arguments),
            service_account=self._settings.kfp_service_account,
        )
        with self._answering():
            made = self._api.run_service_create_run(run=body, _request_timeout=TIMEOUT_SECONDS)
        return str(made.run_id)


def compiled(path: Path) -> dict[str, Any]:
    """The committed file as the API takes it: the PipelineSpec, with its platform document where there is one."""
    spec, *platform = yaml.safe_load_all(path.read_text(encoding="utf-8"))
    return {"pipeline_spec": spec, "platform_spec": platform[0]} if platform else spec


def experiment_id(client: ApiClient, settings: Settings, name: str) -> str:
    """The experiment of this name, made where there is none.

    Raises:
        ServiceAwayError: the API does not answer.
    """
    from kfp_server_api import ExperimentServiceApi, V2beta1Experiment

    api = ExperimentServiceApi(client)
    wanted = {"predicates": [{"operation": "EQUALS", "key": "display_name", "stringValue": name}]}
    namespace = settings.kfp_profile or None

    def found() -> str | None:
        answer = api.experiment_service_list_experiments(
            filter=json.dumps(wanted), namespace=namespace, _request_timeout=TIMEOUT_SECONDS
        )
        return str(answer.experiments[0].experiment_id) if answer.experiments else None

    with answering("Kubeflow Pipelines"):
        known = found()
    if known:
        return known
    body = V2beta1Experiment(display_name=name, namespace=namespace)
    try:
        with answering("Kubeflow Pipelines"):
            made = api.experiment_service_create_experiment(experiment=body, _request_timeout=TIMEOUT_SECONDS)
            return str(made.experiment_id)
    except (ServiceAwayError, UserError):
        # Names are unique: somebody else may have made it in between, or the answer was lost.
        with answering("Kubeflow Pipelines"):
            known = found()
        if known:
            return known
        raise
