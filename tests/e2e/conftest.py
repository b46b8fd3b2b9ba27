"""One cluster for the whole session: brought up, or up to date, by `make kind-up`; removed at the end if it was new.

KEEP_CLUSTER=1 keeps it; AS_IT_IS=1 takes one that is ready without looking whether its images hold today's code;
LAKELOOP_E2E_AFRESH=1 removes one that an earlier session left and that does not come up to date, and makes it anew.
What failed leaves pods' logs and events below LAKELOOP_E2E_EVIDENCE (default .e2e), and a digest of them in the report.
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
from scripts.cluster.loading import load
from scripts.cluster.programs import Programs
from tests.e2e.cluster import PLATFORM, STEPS, Cluster
from tests.e2e.loop_place import Loop, loop_place

ROOT = Path(__file__).parents[2]
UP_SECONDS, DOWN_SECONDS = 2400, 600
EVIDENCE = Path(os.environ.get("LAKELOOP_E2E_EVIDENCE", ROOT / ".e2e"))
GOLDEN_IMAGE = "python:3.11-slim-bookworm"
_STARTED = pytest.StashKey[float]()


def _reach() -> tuple[Cluster, str]:
    """The programs, and why there are none; the environment of everything that a test starts leads to the cluster."""
    try:
        programs = programs_of(os.environ.get("CLUSTER", "lakeloop"))
    except UserError as error:
        return Cluster(Programs()), f"no cluster: {error}"
    os.environ.update(programs.environment)
    return Cluster(programs), ""


_CLUSTER, _UNREACHED = _reach()


@pytest.fixture(scope="session", autouse=True)
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Ready, with images of today's code; or the session's tests fail with the reason."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    made = not _answers(_CLUSTER)
    if made and (why := unavailable()):
        pytest.skip(why)
    if made or os.environ.get("AS_IT_IS") != "1" or _CLUSTER.unready():
        with capture.global_and_fixture_disabled():  # minutes, whose progress belongs on the terminal
            code, made = _bring_up(made)
        if code and not _has_docker():
            pytest.skip("no cluster: no Docker daemon runs here, and none could be started")
        if code:
            pytest.exit(f"make kind-up failed ({code}): see its lines above", returncode=1)
    yield _CLUSTER
    if made and os.environ.get("KEEP_CLUSTER") != "1":
        _run("kind_down", DOWN_SECONDS)


def _bring_up(made: bool) -> tuple[int, bool]:
    """The script's exit code, and whether the cluster is this session's own."""
    code = _run("kind_up", UP_SECONDS)
    if code and not made and os.environ.get("LAKELOOP_E2E_AFRESH") == "1":
        made = _run("kind_down", DOWN_SECONDS) == 0
        code = _run("kind_up", UP_SECONDS)
    return code, made


def _run(script: str, seconds: float) -> int:
    """Exit code of one of the cluster's scripts; its lines are this session's."""
    command = [sys.executable, "-m", f"scripts.cluster.{script}"]
    try:
        return subprocess.run(command, cwd=ROOT, timeout=seconds, check=False).returncode
    except subprocess.TimeoutExpired:
        print(f"error: {script}: no end after {seconds:.0f} s", file=sys.stderr)
        return 124


def _has_docker() -> bool:
    try:
        return _CLUSTER.programs.succeeds("docker", "info")
    except UserError:  # not installed
        return False


@pytest.fixture(scope="session")
def golden_image(cluster: Cluster) -> None:
    """The image of the runner's golden pipelines: this machine's, where it has it; else the nodes pull it."""
    if _has_docker() and cluster.programs.succeeds("docker", "image", "inspect", GOLDEN_IMAGE):
        load(cluster.programs, os.environ.get("CLUSTER", "lakeloop"), [GOLDEN_IMAGE], print)


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


@pytest.fixture(scope="module")
def loop(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loop]:
    """A use case of a module's own, whose tests look at one history."""
    with loop_place(tmp_path_factory.mktemp("loop")) as loop:
        yield loop


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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Of what failed, keep the pods' side while its namespaces are there, and print the gist of it."""
    item.stash.setdefault(_STARTED, time.monotonic())
    report = yield
    if report.failed:  # type: ignore[attr-defined]
        folder = EVIDENCE / re.sub(r"[^A-Za-z0-9_.-]+", "-", item.name)
        seconds = time.monotonic() - item.stash[_STARTED] + call.duration
        gist = _CLUSTER.keep_evidence(folder, (PLATFORM, STEPS, *_own_namespace(item)), seconds)
        report.sections.append((f"the cluster, kept in {folder}", gist))  # type: ignore[attr-defined]
    return report


def _own_namespace(item: pytest.Item) -> tuple[str, ...]:
    """Of the fixture `namespace`, or of the place where a module's tests deploy or run Spark."""
    given = getattr(item, "funcargs", {})
    name = given.get("namespace") or getattr(given.get("place"), "namespace", "")
    return (name,) if name else ()


def unavailable() -> str:
    """Why no cluster can be brought up here; empty where it can be tried."""
    if _UNREACHED or command() is not None:
        return _UNREACHED
    for program in ("docker", "kind", "kubectl"):
        try:
            _CLUSTER.programs.path(program)
        except UserError as error:
            return f"no cluster: {error}"
    return "" if _has_docker() else "no cluster: no Docker daemon runs here"


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
