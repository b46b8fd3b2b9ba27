"""Waiting for pods, with a limit, and with the reason when they do not come up."""

from __future__ import annotations

import time
from collections.abc import Callable

from lakeloop.adapters.kserve import failures
from lakeloop.adapters.kserve.cluster import POLL_SECONDS, Cluster
from lakeloop.adapters.kserve.endpoint_objects import EndpointObjects
from lakeloop.adapters.kserve.failures import Finding
from lakeloop.adapters.kserve.names import SERVING_CONTAINER
from lakeloop.adapters.kserve.revision import all_updated, pods_of, rolled_out
from lakeloop.domain.errors import LakeloopError

Tell = Callable[[str], None]
_NOTHING_YET = Finding(kind="starting", text="the cluster has made no pod yet")


class Waiting:
    """For a candidate's or a gateway's pods."""

    def __init__(self, cluster: Cluster, timeout_seconds: float, tell: Tell) -> None:
        self._cluster, self._timeout_seconds, self._tell = cluster, timeout_seconds, tell

    def for_model(self, objects: EndpointObjects, handle: str) -> None:
        """Until all pods of exactly this version, predictors and transformers, are ready.

        Raises:
            LakeloopError: one of them cannot come up, or they did not in time; the reason in one line.
        """
        self._wait(lambda: self._model(objects, handle), f"endpoint {objects.endpoint}", SERVING_CONTAINER)

    def for_gateway(self, objects: EndpointObjects) -> None:
        """Until all pods of the gateway are of its present Deployment, and ready.

        Raises:
            LakeloopError: as above.
        """
        self._wait(lambda: self._gateway(objects), f"gateway of endpoint {objects.endpoint}", "gateway")

    def _model(self, objects: EndpointObjects, handle: str) -> Finding | None:
        service = objects.model(handle)
        deployments = objects.deployments(handle, service)
        if all(rolled_out(service, deployment, handle) for deployment in deployments):
            return None
        found = failures.findings(pods_of(objects.pods(handle), handle))
        owners = [failures.deployment_finding(deployment) for deployment in deployments]
        if service is not None and None in deployments:
            owners.append(failures.service_finding(service))
        return _surest(found, next((owner for owner in owners if owner), None))

    def _gateway(self, objects: EndpointObjects) -> Finding | None:
        deployment = objects.gateway_deployment()
        if all_updated(deployment):
            return None
        pods = [pod for pod in objects.gateway_pods() if "deletionTimestamp" not in pod["metadata"]]
        return _surest(failures.findings(pods), failures.deployment_finding(deployment))

    def _wait(self, look: Callable[[], Finding | None], where: str, container: str) -> None:
        deadline, told = time.monotonic() + self._timeout_seconds, ""
        while (finding := look()) is not None:
            late = time.monotonic() > deadline
            if finding.final or late:
                limit = f" ({self._timeout_seconds:g} s were allowed)" if late else ""
                said = self._with_log(finding, container)
                raise LakeloopError(said.text + limit, where=where, fix=failures.advice(finding))
            if finding.kind != "starting" and finding.text != told:
                told = finding.text
                self._tell(told)
            time.sleep(POLL_SECONDS)

    def _with_log(self, finding: Finding, container: str) -> Finding:
        if not finding.wants_log:
            return finding
        return failures.with_log(
            finding, self._cluster.log(finding.pod, container, previous=finding.previous_log)
        )


def _surest(pods: list[Finding], owner: Finding | None) -> Finding:
    """Pods tell more than their owner, where there are any that tell something."""
    telling = [finding for finding in pods if finding.kind != "starting"]
    return next(iter(telling), None) or owner or next(iter(pods), _NOTHING_YET)
