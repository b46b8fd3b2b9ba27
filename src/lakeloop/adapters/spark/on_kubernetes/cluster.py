"""A Spark session's surroundings in a cluster: the request, its properties, the watch, and the end by SIGTERM."""

from __future__ import annotations

import json
import os
import secrets
import signal
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from lakeloop.adapters.spark.on_kubernetes.api import own_pod
from lakeloop.adapters.spark.on_kubernetes.executor_pod import CONTAINER, pod_template
from lakeloop.adapters.spark.on_kubernetes.properties import client_properties
from lakeloop.adapters.spark.on_kubernetes.request import DriverPod, ExecutorRequest, session_name
from lakeloop.adapters.spark.on_kubernetes.watch import ExecutorWatch
from lakeloop.domain.spark_resources import SparkResources
from lakeloop.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_PLAIN = (
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_EC2_METADATA_DISABLED",
)
_SECRET_PREFIX = "AWS_"  # noqa: S105 - the names of variables, not their values
TERMINATED_EXIT = 128 + signal.SIGTERM


@dataclass(frozen=True)
class Cluster:
    """What a session needs of the cluster: properties to start with, and the watch beside it."""

    properties: dict[str, str]
    watch: ExecutorWatch


def is_kubernetes(master: str) -> bool:
    """Whether executors are pods."""
    return master.startswith("k8s://")


@contextmanager
def cluster(
    settings: Settings, app_name: str, resources: SparkResources, tasks: int | None
) -> Iterator[Cluster]:
    """Watch the executors of one session, and leave none behind, however the block ends.

    Raises:
        UserError: this process does not run in a pod, or `tasks` do not fit the bounds.
        LakeloopError: the Kubernetes API refuses or does not answer.
    """
    driver, pods = own_pod()
    nonce = secrets.token_hex(8)
    request = executor_request(
        settings, driver, resources, tasks, session_name(app_name, driver.name, nonce), os.environ
    )
    watch = ExecutorWatch(pods, request, sample_pod(request), _progress)
    with tempfile.TemporaryDirectory(prefix="lakeloop-spark-") as folder, _sigterm_unwinds(watch):
        template = Path(folder) / "executor-pod.json"
        template.write_text(json.dumps(pod_template(resources)), encoding="utf-8")
        watch.start()
        try:
            yield Cluster(client_properties(request, str(template)), watch)
        except Exception as error:
            explained = watch.explained(error)
            if explained is None:
                raise
            raise explained from error
        finally:
            watch.end()


def executor_request(  # noqa: PLR0913, PLR0917 - the facts of one request
    settings: Settings,
    driver: DriverPod,
    resources: SparkResources,
    tasks: int | None,
    session: str,
    environment: Mapping[str, str],
) -> ExecutorRequest:
    """Executors like the driver: its image, its object store, its references to credentials; settings win."""
    here = {
        name: ref for name, ref in driver.secret_env.items() if environment.get(name)
    }  # a key may be absent
    derived = {name: ref for name, ref in here.items() if name.startswith(_SECRET_PREFIX)}
    declared = {name: _reference(text) for name, text in settings.spark_executor_secrets.items()}
    return ExecutorRequest(
        session=session,
        driver=driver,
        resources=resources,
        image=settings.spark_executor_image or driver.image,
        tasks=tasks,
        env={name: environment[name] for name in _PLAIN if environment.get(name)},
        secret_env={**derived, **declared},
    )


def sample_pod(request: ExecutorRequest) -> dict[str, Any]:
    """A pod of the executors' size, for a dry run."""
    template = pod_template(request.resources)
    executors = request.resources.executors
    size = {
        "requests": {
            "cpu": executors.cpu_request or str(executors.cores),
            "memory": f"{executors.limit_mib}Mi",
        },
        "limits": {"memory": f"{executors.limit_mib}Mi"}
        | ({"cpu": executors.cpu_limit} if executors.cpu_limit else {}),
    }
    (container,) = template["spec"]["containers"]
    container |= {"name": CONTAINER, "image": request.image, "resources": size}
    return {**template, "metadata": {"generateName": f"{request.session}-"}}


def attach(watch: ExecutorWatch, session: SparkSession) -> None:
    """Let the watch see whether jobs run, and end them."""
    context = session.sparkContext

    def busy() -> bool:
        running = context._jsc is not None  # noqa: SLF001 - pyspark has no public word for "stopped"
        return running and bool(context.statusTracker().getActiveJobsIds())

    watch.attach(busy, context.cancelAllJobs)


def _reference(text: str) -> tuple[str, str]:
    name, _, key = text.partition(":")
    return name, key


@contextmanager
def _sigterm_unwinds(watch: ExecutorWatch) -> Iterator[None]:
    """SIGTERM removes the executors, then ends the block as an exception: claims are released, too, if time is left.

    The executors come first: a launcher that dies of the same signal takes this process with it, moments later.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def unwind(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once: the end itself must not be interrupted
        watch.remove_all()
        raise SystemExit(TERMINATED_EXIT)

    before = signal.signal(signal.SIGTERM, unwind)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _progress(text: str) -> None:
    print(f"::progress::{text}", flush=True)  # noqa: T201 - runners show it beside the step
