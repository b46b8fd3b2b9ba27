"""Runs as Jobs, for clusters that have Kubernetes and no Kubeflow Pipelines."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lakeloop.adapters.kfp.pods import pod_problem
from lakeloop.adapters.kubernetes_jobs.manifest import CONTAINER, job_manifest, job_name
from lakeloop.domain.errors import LakeloopError, ServiceAwayError, UserError
from lakeloop.domain.remote_run import PROGRESS, RemoteRun, RemoteTask, RunState, StepLog, Submission
from lakeloop.settings import Settings

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

TIMEOUT_SECONDS = 30
TERMINATED = "lakeloop/terminated"
_PLACE = "Kubernetes"
_CONFLICT, _NO_SUCH = 409, 404


class KubernetesJobs:
    """Implements `lakeloop.ports.pipelines.PipelineService`; a run's id is its Job's name.

    Args:
        settings: where, with which image, as whom.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def start(self, submission: Submission) -> str:
        """The Job of this name: Kubernetes keeps one, however often it is sent."""
        manifest = job_manifest(
            submission, self._namespace, self._settings.job_image, self._settings.kfp_service_account
        )
        from kubernetes.client.exceptions import ApiException

        with _answering():
            try:
                self._batch.create_namespaced_job(self._namespace, manifest, _request_timeout=TIMEOUT_SECONDS)
            except ApiException as error:
                if error.status != _CONFLICT:
                    raise
        return job_name(submission.name)

    def find(self, name: str) -> str | None:
        """The Job of this name, where there is one."""
        try:
            self.look(job_name(name))
        except UserError:
            return None
        return job_name(name)

    def look(self, run_id: str) -> RemoteRun:
        """The Job now; its one task is the whole run, whose log tells the steps."""
        with _answering():
            job = self._batch.read_namespaced_job(run_id, self._namespace, _request_timeout=TIMEOUT_SECONDS)
        return job_run(job.to_dict())

    def ended(self, run_id: str) -> bool:
        """Whether nothing of the run goes on, also because there is no such Job."""
        try:
            return self.look(run_id).ended
        except UserError:
            return True

    def step_log(self, run_id: str, task: str, lines: int) -> StepLog | None:
        """The end of the runner's own output, each line of it progress."""
        del task
        with _answering():
            pods = self._core.list_namespaced_pod(
                self._namespace, label_selector=f"job-name={run_id}", _request_timeout=TIMEOUT_SECONDS
            )
        if not pods.items:
            return None
        pod = pods.items[-1].to_dict()
        text = self._tail(pod["metadata"]["name"], lines)
        told = [line.rstrip() for line in text.splitlines() if line.strip()]
        problem = pod_problem(pod)
        return StepLog(
            attempt=1,
            lines=(*told[:-1], *(f"{PROGRESS}{line.strip()}" for line in told[-1:]), *told[-1:]),
            pod=pod["metadata"]["name"],
            problem=problem,
            exit_code=exit_code(pod),
        )

    def terminate(self, run_id: str) -> None:
        """Kubernetes ends the pod; the Job stays, for its log."""
        if self.look(run_id).ended:
            return
        change = {
            "metadata": {"annotations": {TERMINATED: "true"}},
            "spec": {"activeDeadlineSeconds": 1},
        }
        with _answering():
            self._batch.patch_namespaced_job(
                run_id, self._namespace, change, _request_timeout=TIMEOUT_SECONDS
            )

    def link(self, run_id: str) -> str:
        """How kubectl names it."""
        return f"job/{run_id} in namespace {self._namespace}"

    @property
    def _namespace(self) -> str:
        return self._settings.job_namespace

    def _tail(self, pod: str, lines: int) -> str:
        from kubernetes.client.exceptions import ApiException

        try:
            return str(
                self._core.read_namespaced_pod_log(
                    pod,
                    self._namespace,
                    container=CONTAINER,
                    tail_lines=lines,
                    _request_timeout=TIMEOUT_SECONDS,
                )
            )
        except ApiException as error:
            if error.status in {400, _NO_SUCH}:  # not started yet, or gone
                return ""
            raise

    @cached_property
    def _client(self) -> ApiClient:
        from kubernetes import client, config

        configuration = client.Configuration()
        try:
            if os.environ.get("KUBERNETES_SERVICE_HOST"):
                config.load_incluster_config(client_configuration=configuration)
            else:
                config.load_kube_config(client_configuration=configuration)
        except (config.ConfigException, OSError, TypeError) as error:
            raise UserError(f"no kube context: {error}", where=_PLACE, fix="set KUBECONFIG") from error
        configuration.retries = False
        return client.ApiClient(configuration)

    @cached_property
    def _batch(self) -> Any:
        from kubernetes import client

        return client.BatchV1Api(self._client)

    @cached_property
    def _core(self) -> Any:
        from kubernetes import client

        return client.CoreV1Api(self._client)


def job_run(job: dict[str, Any]) -> RemoteRun:
    """A Job as a run.

    Args:
        job: as the Kubernetes client's `to_dict` gives it.
    """
    metadata, status = job["metadata"], job.get("status") or {}
    annotations = metadata.get("annotations") or {}
    state = _state(status, terminated=TERMINATED in annotations)
    conditions = [c for c in status.get("conditions") or [] if c.get("status") == "True"]
    ended = max((c["last_transition_time"] for c in conditions), default=None)
    started = status.get("start_time") or metadata["creation_timestamp"]
    run = RemoteTask(
        task_id="run",
        name="run",
        state=state,
        started_at_ms=_ms(started),
        ended_at_ms=_ms(ended),
        error="; ".join(c.get("message") or "" for c in conditions if c.get("type") == "Failed"),
    )
    return RemoteRun(
        run_id=metadata["name"],
        name=annotations.get("lakeloop/run") or metadata["name"],
        pipeline=annotations.get("lakeloop/pipeline") or "",
        state=state,
        created_at_ms=_ms(metadata["creation_timestamp"]) or 0,
        ended_at_ms=run.ended_at_ms,
        tasks=(run,),
    )


def _state(status: dict[str, Any], *, terminated: bool) -> RunState:
    true = {c["type"] for c in status.get("conditions") or [] if c.get("status") == "True"}
    if "Complete" in true:
        return "succeeded"
    if "Failed" in true:
        return "cancelled" if terminated else "failed"
    return "running" if status.get("active") else "waiting"


def exit_code(pod: dict[str, Any]) -> int | None:
    """The runner's own exit code: that of `lakeloop run`."""
    for container in (pod.get("status") or {}).get("container_statuses") or []:
        ended = (container.get("state") or {}).get("terminated")
        if container.get("name") == CONTAINER and ended:
            return int(ended["exit_code"])
    return None


def _ms(at: Any) -> int | None:
    return int(at.timestamp() * 1000) if at is not None else None


@contextmanager
def _answering() -> Iterator[None]:
    from kubernetes.client.exceptions import ApiException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ApiException as error:
        if error.status == _NO_SUCH:
            raise UserError("there is no such run", where=_PLACE, fix="check id and cluster") from error
        if error.status in {400, 401, 403, 422}:
            raise LakeloopError(
                f"not accepted ({error.status}): {str(error.body or error.reason)[:400]}", where=_PLACE
            ) from error
        raise ServiceAwayError(
            f"the API server answered {error.status or 'nothing'}", where=_PLACE
        ) from error
    except (HTTPError, OSError) as error:
        raise ServiceAwayError(f"no connection: {error}", where=_PLACE) from error
