"""This machine as a laptop beside the cluster: its stores by port-forward, Spark in this process' own JVM."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.endpoint_place import forwarded
from tests.e2e.spark_place import kubectl

ROOT = Path(__file__).parents[2]
_STEPS, _PLATFORM = "kubeflow", "lakeloop"
_SERVICES = (
    (_PLATFORM, "postgres", 5432),
    ("kubeflow", "minio-service", 9000),
    (_PLATFORM, "mlflow", 5000),
)


@dataclass(frozen=True)
class Laptop:
    """Environment of commands that work on the cluster's tables and models from here."""

    environment: dict[str, str]

    def lakeloop(self, *words: str, seconds: float, **variables: str) -> subprocess.CompletedProcess[str]:
        """The command `lakeloop`."""
        return subprocess.run(
            [sys.executable, "-m", "lakeloop.cli", *words],
            env={**os.environ, **self.environment, **variables},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    @contextlib.contextmanager
    def starts(self, *words: str) -> Iterator[subprocess.Popen[bytes]]:
        """The same, under way: killed where the block ends before it does."""
        command = [sys.executable, "-m", "lakeloop.cli", *words]
        with subprocess.Popen(command, env={**os.environ, **self.environment}, cwd=ROOT) as process:
            try:
                yield process
            finally:
                process.kill()


@contextlib.contextmanager
def laptop(home: Path) -> Iterator[Laptop]:
    """The settings of the cluster's steps, with this machine's places in them."""
    settings = _data("configmap", "lakeloop-settings")
    secrets = {k: base64.b64decode(v).decode() for k, v in _data("secret", "lakeloop-credentials").items()}
    with contextlib.ExitStack() as stack:
        here = {
            f"{name}.{namespace}:{port}": f"127.0.0.1:{stack.enter_context(forwarded(namespace, f'svc/{name}', port))}"
            for namespace, name, port in _SERVICES
        }
        environment = {**settings, **secrets, **_own(settings, home)}
        for there, forward in here.items():
            environment = {name: value.replace(there, forward) for name, value in environment.items()}
        yield Laptop(environment)


def _own(settings: dict[str, str], home: Path) -> dict[str, str]:
    packages = (ROOT / "images" / "spark" / "packages.txt").read_text(encoding="utf-8").split()
    conf = json.loads(settings.get("LAKELOOP_SPARK_CONF", "{}"))
    conf["spark.jars.excludes"] = "software.amazon.awssdk:bundle"
    return {
        "LAKELOOP_HOME": str(home),
        "LAKELOOP_SPARK_MASTER": "local[2]",
        "LAKELOOP_SPARK_PACKAGES": json.dumps(packages),
        "LAKELOOP_SPARK_CONF": json.dumps(conf),
        "LAKELOOP_SPARK_EVENT_LOG_URI": "",
        "LAKELOOP_DEPLOYMENT_TARGET": "local",
        "LAKELOOP_MOUNTED_SETTINGS": "",
    }


def _data(kind: str, name: str) -> dict[str, str]:
    found: dict[str, Any] = json.loads(kubectl("-n", _STEPS, "get", kind, name, "-o", "json"))
    return dict(found["data"])
