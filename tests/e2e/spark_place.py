"""A namespace of its own for one test's Spark steps, with no more rights than a step's service account needs."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from lakeloop.adapters.spark.on_kubernetes.access import DRIVER_RULES
from lakeloop.domain.spark_resources import SparkResources

IMAGE = os.environ.get("LAKELOOP_E2E_SPARK_IMAGE", "lakeloop/spark:0.1.0")
STEP_POD = "step"
EXECUTORS = "spark-role=executor"
PROGRAM = """
from lakeloop.adapters.spark.session import spark_session
from lakeloop.runtime.step import run_step

def body(step):
    with spark_session(step.settings, "e2e", resources=step.use_case.spark, tasks={tasks}) as spark:
        print("session: ready", flush=True)
{work}

run_step("e2e", [], body)
"""
_USE_CASE: dict[str, Any] = {
    "name": "e2e",
    "table": {"name": "e2e.t", "key": ["id"], "event_time": "at"},
    "source": {"kind": "table"},
    "label": {"column": "y"},
    "features": ["x"],
}


@dataclass(frozen=True)
class SparkPlace:
    """Where a test's step and its executors run."""

    namespace: str

    def kubectl(self, *words: str, check: bool = True, stdin: str | None = None) -> str:
        return kubectl("-n", self.namespace, *words, check=check, stdin=stdin)

    def start(
        self, work: str, spark: dict[str, Any], env: dict[str, str] | None = None, tasks: int | None = None
    ) -> None:
        """A step's pod: lakeloop's own session around the lines of `work`, with the use case's section `spark`."""
        lines = "\n".join(f"        {line}" for line in work.strip().splitlines())
        use_case = {**_USE_CASE, "spark": SparkResources.model_validate(spark).model_dump(mode="json")}
        program = PROGRAM.format(work=lines, tasks=tasks)
        command = ["python", "-c", program, "--pipeline-run-id", "e2e", "--use-case", json.dumps(use_case)]
        self.kubectl("apply", "-f", "-", stdin=json.dumps(step_pod(self.namespace, command, env or {})))

    def log(self) -> str:
        return self.kubectl("logs", STEP_POD, check=False)

    def executors(self) -> list[dict[str, Any]]:
        """Every executor's pod object, whatever its phase."""
        items: list[dict[str, Any]] = json.loads(self.kubectl("get", "pods", "-l", EXECUTORS, "-o", "json"))[
            "items"
        ]
        return items

    def ended(self, seconds: float) -> tuple[int, str]:
        """The step's exit code and log."""
        code: list[int] = []

        def over() -> bool:
            path = "jsonpath={.status.containerStatuses[0].state.terminated.exitCode}"
            text = self.kubectl("get", "pod", STEP_POD, "-o", path)
            code.extend([int(text)] if text else [])
            return bool(text)

        wait_for(over, seconds, "the step's end")
        return code[0], self.log()


def step_pod(namespace: str, command: list[str], env: dict[str, str]) -> dict[str, Any]:
    """As restricted as the namespace asks, and with a read-only root file system."""
    variables = {"LAKELOOP_SPARK_MASTER": "k8s://https://kubernetes.default.svc", **env}
    container = {
        "name": "main",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": command,
        "env": [{"name": name, "value": value} for name, value in variables.items()],
        "resources": {"requests": {"cpu": "10m", "memory": "512Mi"}, "limits": {"memory": "2Gi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "scratch", "mountPath": "/tmp"}],  # noqa: S108
    }
    spec = {
        "serviceAccountName": "lakeloop-steps",
        "restartPolicy": "Never",
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": [{"name": "scratch", "emptyDir": {}}],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": STEP_POD, "namespace": namespace},
        "spec": spec,
    }


@contextlib.contextmanager
def spark_place() -> Iterator[SparkPlace]:
    """A fresh namespace, gone afterwards; what its pods said is printed when the test failed."""
    namespace = f"lakeloop-e2e-{secrets.token_hex(4)}"
    place = SparkPlace(namespace)
    kubectl("create", "namespace", namespace)
    try:
        kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
        place.kubectl(
            "apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": _account()})
        )
        yield place
    except BaseException:
        _tell(place)
        raise
    finally:
        kubectl("delete", "namespace", namespace, "--wait=false", check=False)


def _account() -> list[dict[str, Any]]:
    group, name = "rbac.authorization.k8s.io", "lakeloop-steps"
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}},
        {
            "apiVersion": f"{group}/v1",
            "kind": "Role",
            "metadata": {"name": name},
            "rules": list(DRIVER_RULES),
        },
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": group, "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name}],
        },
    ]


def _tell(place: SparkPlace) -> None:
    for words in (
        ("get", "pods", "-o", "wide"),
        ("get", "events", "--sort-by=.lastTimestamp"),
        ("logs", STEP_POD, "--tail=60"),
        ("logs", "-l", EXECUTORS, "--prefix", "--tail=20"),
    ):
        print(f"== kubectl {' '.join(words)}\n{place.kubectl(*words, check=False)}")


def kubectl(*words: str, check: bool = True, stdin: str | None = None) -> str:
    """Its output; its error is the exception's text."""
    done = subprocess.run(
        ["kubectl", *words], input=stdin, capture_output=True, text=True, timeout=180, check=False
    )
    assert not check or done.returncode == 0, f"kubectl {' '.join(words)}: {done.stderr}"
    return done.stdout


def wait_for(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Poll until it holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.5)
