"""One use case's loop on the cluster, driven by the commands that a user types."""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.endpoint_place import forwarded
from tests.e2e.laptop import ROOT, Laptop, laptop
from tests.e2e.spark_place import kubectl

SUBMIT_SECONDS, COMMAND_SECONDS = 900, 300
ON_THE_CLUSTER = {"LAKELOOP_DEPLOYMENT_TARGET": "kserve"}
EXECUTORS = {"min": 1, "max": 1, "cpu_request": "10m", "memory_mib": 600}
_STEPS = "kubeflow"


@dataclass(frozen=True)
class Ended:
    """What `lakeloop submit --json` told at the end of a run."""

    exit_code: int
    told: dict[str, Any]
    said: str

    @property
    def run_id(self) -> str:
        return str(self.told["run_id"])

    @property
    def states(self) -> dict[str, str]:
        """Step -> its state."""
        return {name: str(task["state"]) for name, task in self.told["tasks"].items()}


@dataclass(frozen=True)
class Loop:
    """A use case of its own name, and a laptop beside the cluster."""

    here: Laptop
    name: str
    file: Path

    @property
    def table(self) -> str:
        return f"{self.name}.card_transactions"

    def command(
        self, *words: str, seconds: float = COMMAND_SECONDS, **variables: str
    ) -> tuple[int, Any, str]:
        """Exit code, JSON and messages of a command about this use case."""
        done = self.here.lakeloop(*words, "--json", seconds=seconds, **ON_THE_CLUSTER, **variables)
        return done.returncode, json.loads(done.stdout) if done.stdout.strip() else None, done.stderr

    def submit(self, *words: str, file: Path | None = None) -> Ended:
        """A retrain, followed to its end."""
        code, told, said = self.command("submit", str(file or self.file), *words, seconds=SUBMIT_SECONDS)
        assert told, said
        return Ended(code, told, said)

    def detached(self, *words: str) -> str:
        """A retrain that is under way: its run id."""
        code, told, said = self.command("submit", str(self.file), "--detach", *words)
        assert code == 0, said
        return str(told["run_id"])

    def follow(self, run_id: str) -> Ended:
        code, told, said = self.command("follow", run_id, seconds=SUBMIT_SECONDS)
        assert told, said
        return Ended(code, told, said)

    def status(self) -> dict[str, Any]:
        code, told, said = self.command("status", str(self.file))
        assert code == 0, said
        return dict(told)

    def events(self) -> list[dict[str, Any]]:
        """The ledger, oldest first."""
        code, told, said = self.command("history", str(self.file))
        assert code == 0, said
        return list(told)

    def rows(self) -> int:
        """Of the table now, counted by reading it."""
        with self._settings() as settings:
            from lakeloop.adapters.iceberg.catalog import open_catalog

            return int(open_catalog(settings).load_table(self.table).scan().count())

    def predict(self) -> str:
        """Ask the endpoint for a row's score; the prediction's id."""
        import httpx

        document = yaml.safe_load(self.file.read_text(encoding="utf-8"))
        row = {name: 44 for name in document["features"] if isinstance(name, str)}
        with forwarded("lakeloop", f"svc/{self.name.replace('_', '-')}", 80) as port:
            answer = httpx.post(f"http://127.0.0.1:{port}/predict", json={"rows": [row]}, timeout=30)
        (prediction_id,) = answer.raise_for_status().json()["prediction_ids"]
        return str(prediction_id)

    def logged(self, prediction_id: str) -> int:
        """How often the table of predictions holds one."""
        with self._settings() as settings:
            from lakeloop.adapters.iceberg.catalog import open_catalog
            from lakeloop.domain.prediction_table import table_name

            catalog = open_catalog(settings)
            if not catalog.table_exists(table_name(self.name)):
                return 0
            ids = catalog.load_table(table_name(self.name)).scan(selected_fields=("prediction_id",))
            return int(ids.to_arrow()["prediction_id"].to_pylist().count(prediction_id))

    def variant(self, changed: Callable[[dict[str, Any]], None]) -> Path:
        """The same use case, declared differently."""
        document = yaml.safe_load(self.file.read_text(encoding="utf-8"))
        changed(document)
        file = self.file.with_name(f"variant-{secrets.token_hex(3)}.yaml")
        file.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
        return file

    @contextlib.contextmanager
    def _settings(self) -> Iterator[Any]:
        import pytest

        from lakeloop.settings import Settings

        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.here.environment.items():
                patch.setenv(name, value)
            yield Settings()


@contextlib.contextmanager
def loop_place(folder: Path) -> Iterator[Loop]:
    """card_fraud under a name, and on a table, of its own; its endpoint ends with the block."""
    name = f"e2e_{secrets.token_hex(4)}"
    document = yaml.safe_load((ROOT / "conf/use_cases/card_fraud.yaml").read_text(encoding="utf-8"))
    document["name"] = name
    document["table"]["name"] = f"{name}.card_transactions"
    document["spark"] = {"executors": EXECUTORS}
    document["deployment"] = {"target": "kserve", "prove_rows": 50, "pods": {"cpu": "25m"}}
    file = folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    with laptop(folder / "home") as here:
        loop = Loop(here, name, file)
        try:
            yield loop
        finally:
            here.lakeloop("stop", str(file), seconds=120, **ON_THE_CLUSTER)


def pods_of(run_id: str, step: str = "") -> list[dict[str, Any]]:
    """Pods of a run's steps, or of one step, without KFP's drivers."""
    selector = f"pipeline/runid={run_id}"
    items = json.loads(kubectl("-n", _STEPS, "get", "pods", "-l", selector, "-o", "json"))["items"]
    name = "workflows.argoproj.io/node-name"
    nodes = [(p["metadata"].get("annotations", {}).get(name, ""), p) for p in items]
    return [p for node, p in nodes if ".executor" in node and f".{step}" in node]


def executors_of(pod_name: str) -> list[str]:
    """Spark's executors that a step's pod owns and that have not ended; ended ones go with that pod."""
    listed = json.loads(kubectl("-n", _STEPS, "get", "pods", "-l", "spark-role=executor", "-o", "json"))[
        "items"
    ]
    return [
        p["metadata"]["name"]
        for p in listed
        if p["status"].get("phase") in {"Pending", "Running"}
        and any(o["name"] == pod_name for o in p["metadata"].get("ownerReferences", []))
    ]


def log_of(pod_name: str) -> str:
    return kubectl("-n", _STEPS, "logs", pod_name, "-c", "main", check=False)


def at_work(run_id: str, step: str = "ingest-batch", words: str = "write, audit, publish") -> str:
    """The step's pod, once it has told so much."""
    names = [str(p["metadata"]["name"]) for p in pods_of(run_id, step)]
    return next((name for name in names if words in log_of(name)), "")


def when(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    """The first true answer; polled."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.5)
    return found
