"""One cluster for the whole session: brought up if it is not, removed at the end if the session made it.

KEEP_CLUSTER=1 keeps it. What failed leaves pods' logs and events below LAKELOOP_E2E_EVIDENCE (default .e2e).
Where no cluster can be had (no program that brings one up, or no Docker daemon) every test is skipped, and the reason
told with their number. LAKELOOP_E2E_LONG=1 runs the tests marked `e2e_long`, too.
"""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lakeloop.domain.errors import LakeloopError, UserError
from scripts.cluster.bring_up import command, programs_of
from tests.e2e.cluster import PLATFORM, STEPS, Cluster

ROOT = Path(__file__).parents[2]
UP_SECONDS = 2700
EVIDENCE = Path(os.environ.get("LAKELOOP_E2E_EVIDENCE", ROOT / ".e2e"))
_FAILED = pytest.StashKey[bool]()


def _reach() -> Cluster:
    """The programs, and the environment of everything that a test starts: it finds kubectl and the cluster by it."""
    programs = programs_of(os.environ.get("CLUSTER", "lakeloop"))
    os.environ.update(programs.environment)
    return Cluster(programs)


_CLUSTER = _reach()


@pytest.fixture(scope="session", autouse=True)
def cluster() -> Iterator[Cluster]:
    """Ready, or the session's tests fail with the reason."""
    made = not _answers(_CLUSTER)
    if made and (why := unavailable()):
        pytest.skip(why)
    if made or _CLUSTER.unready():
        done = subprocess.run(
            [sys.executable, "-m", "scripts.cluster.kind_up"], cwd=ROOT, timeout=UP_SECONDS, check=False
        )
        if done.returncode and not _CLUSTER.programs.succeeds("docker", "info"):
            pytest.skip("no cluster: no Docker daemon runs here, and none could be started")
        if done.returncode:
            pytest.fail(f"make kind-up ended with {done.returncode}: see its lines above", pytrace=False)
    yield _CLUSTER
    if made and os.environ.get("KEEP_CLUSTER") != "1":
        subprocess.run([sys.executable, "-m", "scripts.cluster.kind_down"], cwd=ROOT, timeout=600, check=True)


@pytest.fixture
def use_case_name() -> str:
    """Names of tables, models and endpoints that no other test has."""
    return f"e2e_{secrets.token_hex(4)}"


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A fresh Kubernetes namespace, restricted like ours, removed afterwards without waiting."""
    name = f"lakeloop-e2e-{secrets.token_hex(4)}"
    cluster.kubectl("create", "namespace", name)
    cluster.kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="session")
def mlflow_url(cluster: Cluster) -> Iterator[str]:
    """MLflow's server, on a local port; the store behind it cannot be reached from here."""
    with cluster.forwarded(PLATFORM, "mlflow", 5000) as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD", "false")
        yield url


@pytest.fixture(scope="session")
def kfp_url(cluster: Cluster) -> Iterator[str]:
    """The API of Kubeflow Pipelines, on a local port."""
    with cluster.forwarded(STEPS, "ml-pipeline", 8888) as url:
        yield url


@pytest.fixture(autouse=True)
def _evidence(request: pytest.FixtureRequest, cluster: Cluster) -> Iterator[None]:
    namespaces = (PLATFORM, STEPS, *_own_namespace(request))
    started = time.monotonic()
    yield
    if request.node.stash.get(_FAILED, False):
        folder = EVIDENCE / re.sub(r"[^A-Za-z0-9_.-]+", "-", request.node.name)
        cluster.keep_evidence(folder, namespaces, time.monotonic() - started)


def _own_namespace(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return (request.getfixturevalue("namespace"),) if "namespace" in request.fixturenames else ()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    if report.failed:  # type: ignore[attr-defined]
        item.stash[_FAILED] = True
    return report


def unavailable() -> str:
    """Why no cluster can be brought up here; empty where it can be tried."""
    if command() is not None:
        return ""
    for program in ("docker", "kind", "kubectl"):
        try:
            _CLUSTER.programs.path(program)
        except UserError as error:
            return f"no cluster: {error}"
    return "" if _CLUSTER.programs.succeeds("docker", "info") else "no cluster: no Docker daemon runs here"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave the long tests out, visibly, unless they are asked for."""
    if os.environ.get("LAKELOOP_E2E_LONG") == "1":
        return
    for item in items:
        if item.get_closest_marker("e2e_long"):
            item.add_marker(pytest.mark.skip(reason="long: make test-e2e-long"))


def _answers(cluster: Cluster) -> bool:
    try:
        cluster.kubectl("--request-timeout=10s", "get", "namespace", "kube-system")
    except LakeloopError:  # also: no kubectl yet
        return False
    return True
