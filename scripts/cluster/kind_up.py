"""`make kind-up`: from nothing to a cluster that can retrain; again is quick. CLUSTER names the kind cluster."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final

from lakeloop.domain.errors import UserError
from scripts.cluster.bring_up import bring_up, programs_of
from scripts.cluster.loading import load
from scripts.cluster.programs import Programs, script
from scripts.cluster.readiness import wait_ready
from scripts.cluster.secrets import ensure_secrets
from scripts.cluster.stand_ins import ensure_images
from scripts.images.build import build_all
from scripts.images.sets import SETS

ROOT: Final = Path(__file__).parents[2]
OVERLAY: Final = ROOT / "manifests/overlays/kind"
NAMESPACE: Final = ROOT / "manifests/base/platform/namespace.yaml"
BASE_IMAGE: Final = "python:3.11-slim-bookworm"
_POLL_SECONDS: Final = 2.0
_STARTED: Final = time.monotonic()


def main() -> None:
    """Bring up, build, load, apply, wait; then say what is there."""
    cluster = os.environ.get("CLUSTER", "lakeloop")
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="images") as beside:
        ended, is_up = threading.Event(), threading.Event()
        building = beside.submit(build_beside, programs_of(cluster), ended, is_up)
        try:
            programs = bring_up(cluster, tell)
            is_up.set()
        finally:
            ended.set()
        images = building.result()
    changed = load(programs, cluster, images, tell)
    apply(programs, changed)
    wait_ready(programs, tell)
    print(_what_next(programs, cluster))


def build_beside(programs: Programs, ended: threading.Event, is_up: threading.Event) -> list[str]:
    """Build the images as soon as there is something to build them on, while the cluster comes up; their names.

    Args:
        programs: docker; the bring-up may still have to install it.
        ended: set once the bring-up has ended.
        is_up: set before that if it went well; else nothing is built.
    """
    base = os.environ.get("BASE_IMAGE") or BASE_IMAGE
    while not ended.wait(_POLL_SECONDS):
        with suppress(UserError):  # not installed yet
            if programs.succeeds("docker", "image", "inspect", base):
                break
    if ended.is_set() and not is_up.is_set():
        return []
    tell("images")
    build_all(programs)
    return [*(tag for chosen in SETS for tag in chosen.tags), *ensure_images(programs, tell)]


def apply(programs: Programs, changed: list[str]) -> None:
    """Namespaces, Secrets, then the manifests; what runs a changed image starts again."""
    tell("manifests")
    _apply(programs, "--filename", str(NAMESPACE))
    for name in ensure_secrets(programs):
        tell(f"Secret {name}: generated")
    # A Job's template cannot be changed, and this one may run any number of times.
    programs.kubectl("--namespace", "lakeloop", "delete", "job", "lakeloop-prepare", "--ignore-not-found")
    _apply(programs, "--kustomize", str(OVERLAY))
    if any(image.startswith("lakeloop/mlflow:") for image in changed):
        programs.kubectl("--namespace", "lakeloop", "rollout", "restart", "deployment/mlflow")


def tell(text: str) -> None:
    """One line of progress."""
    print(f"{time.monotonic() - _STARTED:5.0f} s  {text}", flush=True)


def _apply(programs: Programs, *words: str) -> None:
    programs.kubectl("apply", "--server-side", "--force-conflicts", *words)


def _what_next(programs: Programs, cluster: str) -> str:
    environment = programs.environment
    path = environment.get("PATH", "").partition(os.pathsep)[0]
    export = f"export KUBECONFIG={environment['KUBECONFIG']}" + (f" PATH={path}:$PATH" if path else "")
    return f"""
ready: kind cluster {cluster}, after {time.monotonic() - _STARTED:.0f} s
  namespace kubeflow   Kubeflow Pipelines, the object store, the steps' pods
  namespace kserve     KServe
  namespace lakeloop   MLflow (mlflow:5000), PostgreSQL (postgres:5432), Valkey (valkey:6379), endpoints

  {export}
  kubectl --namespace lakeloop port-forward service/mlflow 5000    # then http://127.0.0.1:5000
  make kind-down                                                   # removes the cluster and all it holds"""


if __name__ == "__main__":
    script(main)
