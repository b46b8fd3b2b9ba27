"""A run as one Job: the process runner in a pod whose image holds what every step needs. Pure, tested as data."""

from __future__ import annotations

from typing import Any

from lakeloop.domain.base import sha256_hex
from lakeloop.domain.remote_run import Submission

SUBMISSION_VARIABLE = "LAKELOOP_SUBMISSION"
CONTAINER = "run"
LONGEST_SECONDS = 86_400
KEPT_SECONDS = 7 * 86_400
_SETTINGS, _CREDENTIALS = "lakeloop-settings", "lakeloop-credentials"


def job_name(submission_name: str) -> str:
    """The Job of a submission: the same name again is the same Job, of which Kubernetes keeps one."""
    return f"lakeloop-{sha256_hex(submission_name)[:16]}"


def job_manifest(submission: Submission, namespace: str, image: str, service_account: str) -> dict[str, Any]:
    """One attempt, bounded in time; what it runs is in a variable, as JSON.

    Args:
        submission: what is run; its name is the Job's annotation.
        namespace: where; ConfigMap `lakeloop-settings` and Secret `lakeloop-credentials` are taken from there.
        image: holds Spark, training and reporting.
        service_account: of the pod; what Spark's driver and a redeploy need.
    """
    labels = {"app.kubernetes.io/part-of": "lakeloop", "app.kubernetes.io/component": "job"}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": job_name(submission.name),
            "namespace": namespace,
            "labels": labels,
            "annotations": {"lakeloop/run": submission.name, "lakeloop/pipeline": submission.pipeline},
        },
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": LONGEST_SECONDS,
            "ttlSecondsAfterFinished": KEPT_SECONDS,
            "template": {
                "metadata": {"labels": labels},
                "spec": _pod(submission, image, service_account),
            },
        },
    }


def _pod(submission: Submission, image: str, service_account: str) -> dict[str, Any]:
    run_id = job_name(submission.name)
    variables = {
        SUBMISSION_VARIABLE: submission.model_dump_json(),
        "LAKELOOP_HOME": "/tmp/lakeloop",  # noqa: S108 - an emptyDir
        "LAKELOOP_PIPELINE_RUN_BY": submission.description or run_id,
    }
    return {
        "restartPolicy": "Never",
        "serviceAccountName": service_account,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": CONTAINER,
                "image": image,
                "imagePullPolicy": "IfNotPresent",
                "command": ["lakeloop", "run-submission"],
                "env": [{"name": name, "value": value} for name, value in variables.items()],
                "envFrom": [
                    {"configMapRef": {"name": _SETTINGS, "optional": True}},
                    {"secretRef": {"name": _CREDENTIALS, "optional": True}},
                ],
                "resources": {
                    "requests": {"cpu": "500m", "memory": "1Gi"},
                    "limits": {"memory": "8Gi"},
                },
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                "volumeMounts": [{"name": "scratch", "mountPath": "/tmp"}],  # noqa: S108
            }
        ],
        "volumes": [{"name": "scratch", "emptyDir": {}}],
    }
