"""The cluster that the tests share: how to speak to it, and what it leaves behind when a test fails."""

from __future__ import annotations

import contextlib
import json
import math
import re
import selectors
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lakeloop.domain.errors import LakeloopError
from scripts.cluster.programs import Programs
from scripts.cluster.readiness import NAMESPACES, unready

FORWARD_SECONDS = 30.0
LOGS_AT_MOST = 40
GIST_LINES, LOG_GIST_LINES, EVENTS_GIST_LINES = 60, 8, 12
PLATFORM, STEPS = "lakeloop", "kubeflow"


@dataclass(frozen=True)
class Cluster:
    """kubectl with a limit, and ports of Services on the loopback interface."""

    programs: Programs

    def kubectl(self, *words: str, text: str | None = None, seconds: float = 120.0) -> str:
        return self.programs.kubectl(*words, text=text, seconds=seconds)

    def json(self, *words: str) -> Any:
        return json.loads(self.kubectl(*words, "--output", "json"))

    def apply(self, document: dict[str, Any], namespace: str) -> None:
        self.kubectl("--namespace", namespace, "apply", "--filename", "-", text=json.dumps(document))

    def unready(self) -> list[str]:
        """Workloads that are not there or not ready; empty when all is."""
        missing: list[str] = []
        for namespace in NAMESPACES:
            found = self.json("--namespace", namespace, "get", "deployments,statefulsets")["items"]
            missing += [f"{namespace}/{name}" for name in unready(found)] if found else [namespace]
        return missing

    @contextlib.contextmanager
    def forwarded(self, namespace: str, service: str, port: int) -> Iterator[str]:
        """URL of a Service on a free local port, until the block ends."""
        command = [self.programs.path("kubectl"), "--namespace", namespace, "port-forward"]
        process = subprocess.Popen(
            [*command, f"service/{service}", f":{port}"],
            env=self.programs.full_environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            yield f"http://127.0.0.1:{_local_port(process)}"
        finally:
            process.terminate()
            process.wait(timeout=10)

    def wait_for_pod(self, namespace: str, name: str, seconds: float) -> tuple[bool, str]:
        """Whether a pod that runs to its end did well, and its log."""
        deadline = time.monotonic() + seconds
        while True:
            phase = self.json("--namespace", namespace, "get", "pod", name)["status"]["phase"]
            if phase in {"Succeeded", "Failed"}:
                return phase == "Succeeded", self.kubectl("--namespace", namespace, "logs", name)
            assert time.monotonic() < deadline, f"pod {namespace}/{name} is {phase} after {seconds:.0f} s"
            time.sleep(1)

    def keep_evidence(self, folder: Path, namespaces: tuple[str, ...], since_seconds: float) -> str:
        """Pods, events, and the logs of pods that lived since then, for whoever reads the failure later; the gist."""
        folder.mkdir(parents=True, exist_ok=True)
        gist = [line for namespace in namespaces for line in self._keep_of(folder, namespace, since_seconds)]
        return "\n".join(gist[:GIST_LINES]) or "every pod is well"

    def _keep_of(self, folder: Path, namespace: str, since_seconds: float) -> Iterator[str]:
        at, since = ("--namespace", namespace), f"--since={math.ceil(since_seconds) + 5}s"
        self._keep(folder / f"{namespace}-pods.txt", *at, "get", "pods", "--output", "wide")
        events = self._keep(
            folder / f"{namespace}-events.txt", *at, "get", "events", "--sort-by=.lastTimestamp"
        )
        try:
            pods = self.json(*at, "get", "pods")["items"]
        except LakeloopError as error:  # the cluster itself may be what failed
            yield f"{namespace}: {error}"
            return
        for pod in [p for p in pods if _lived(p, since_seconds)][:LOGS_AT_MOST]:
            name, phase = pod["metadata"]["name"], pod["status"].get("phase")
            words = ("logs", name, "--all-containers", "--prefix", "--tail=400", since)
            log = self._keep(folder / f"{namespace}-{name}.log", *at, *words)
            if phase in {"Failed", "Pending"}:
                yield f"-- {namespace}/{name} is {phase}"
                yield from _last(log, LOG_GIST_LINES)
        yield from (f"-- {line}" for line in _last(events, EVENTS_GIST_LINES, "Warning"))

    def _keep(self, path: Path, *words: str) -> str:
        try:
            text = self.kubectl(*words)
        except LakeloopError as error:  # evidence is best effort; the test's own failure stands
            text = f"not available: {error}\n"
        path.write_text(text, encoding="utf-8")
        return text


def _last(text: str, lines: int, holding: str = "") -> list[str]:
    return [line[:300] for line in text.splitlines() if holding in line][-lines:]


def _lived(pod: dict[str, Any], since_seconds: float) -> bool:
    """Whether a pod runs, or ended no longer ago."""
    ends = [
        (s.get("state") or {}).get("terminated", {}).get("finishedAt")
        for s in pod["status"].get("containerStatuses") or []
    ]
    if not ends or not all(ends):
        return True
    last = max(datetime.fromisoformat(end) for end in ends)
    return (datetime.now(UTC) - last).total_seconds() <= since_seconds


def _local_port(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    with selectors.DefaultSelector() as ready:
        ready.register(process.stdout, selectors.EVENT_READ)
        said = process.stdout.readline() if ready.select(FORWARD_SECONDS) else ""
    found = re.search(r"127\.0\.0\.1:(\d+)", said)
    assert found, f"kubectl port-forward said {said!r} within {FORWARD_SECONDS:.0f} s"
    return int(found[1])
