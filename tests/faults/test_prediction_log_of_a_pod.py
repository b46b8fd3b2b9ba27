"""The two containers of a predictor's pod, run here as the manifest has them: kills, restarts, and the pod's end.

Paths of the pod are folders of the test; everything else (commands, arguments, environment, what is mounted into which
container) is the manifest's own.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest

from lakeloop.adapters.iceberg.catalog import embedded_properties
from lakeloop.adapters.iceberg.row_log import IcebergRowLog
from lakeloop.adapters.kserve import names
from lakeloop.adapters.kserve.inference_service import inference_service
from lakeloop.adapters.local.process import wait_until
from lakeloop.domain.prediction_table import table_name
from lakeloop.settings import Settings
from scripts.endpoint_examples import example_version
from tests.fakes.models import ROWS, model_folder

TABLE = table_name("fraud")


class Pod:
    """Containers as processes; they share what the pod's volumes share, and end in the order of Kubernetes."""

    def __init__(self, home: Path) -> None:
        self.home, self.settings = home, Settings(home=home / "lake")
        candidate = model_folder(home / "store")
        version = example_version(
            identity=candidate.identity,
            model_uri=(home / "store").as_uri(),
            shipper_image="lakeloop/train:0.1.0",
        )
        self.spec = inference_service(version)["spec"]["predictor"]
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        (home / "settings").mkdir()
        (home / "credentials").mkdir()
        catalog = embedded_properties(self.settings)
        (home / "settings/LAKELOOP_ICEBERG_CATALOG").write_text(json.dumps(catalog), encoding="utf-8")
        (home / "settings/LAKELOOP_WAREHOUSE_URI").write_text(self.settings.warehouse, encoding="utf-8")
        (self.settings.root / "warehouse").mkdir(parents=True)

    def start(self, name: str) -> None:
        container = next(
            c for c in [*self.spec["containers"], *self.spec["initContainers"]] if c["name"] == name
        )
        folders = {m["mountPath"]: self.home / m["name"] for m in container["volumeMounts"]}
        for folder in folders.values():
            folder.mkdir(exist_ok=True)
        places = dict(sorted(folders.items(), key=lambda item: -len(item[0])))
        arguments = [self._here(a, places) for a in container["args"]]
        if name == names.SERVING_CONTAINER:
            arguments[arguments.index("--port") + 1] = "0"
            arguments += ["--port-file", str(self.home / "port.json")]
            arguments[arguments.index("--drain-seconds") + 1] = "0.2"
            (self.home / "port.json").unlink(missing_ok=True)
        else:
            arguments[arguments.index("--every-seconds") + 1] = "0.3"
        mounted = [str(p) for path, p in places.items() if path.startswith("/etc/lakeloop/")]
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("LAKELOOP_")},
            **{v["name"]: v["value"] for v in container["env"] if "value" in v},
            "LAKELOOP_MOUNTED_SETTINGS": os.pathsep.join(mounted),
            "LAKELOOP_HOME": str(self.home / "nowhere"),
            "HOME": os.environ["HOME"],
        }
        command = [sys.executable, *container["command"][1:], *arguments]
        self.running[name] = subprocess.Popen(command, env=environment, start_new_session=True)

    def _here(self, argument: str, places: dict[str, Path]) -> str:
        for path, folder in places.items():
            if argument == path or argument.startswith(f"{path}/"):
                return f"{folder}{argument.removeprefix(path)}"
        return argument

    def kill(self, name: str) -> None:
        process = self.running.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)

    def end(self) -> None:
        """SIGTERM to the containers; once they have ended, to the sidecars."""
        for name in (names.SERVING_CONTAINER, names.SHIPPER_CONTAINER):
            process = self.running.pop(name)
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0, name

    def url(self) -> str | None:
        try:
            return f"http://127.0.0.1:{json.loads((self.home / 'port.json').read_bytes())['port']}"
        except (OSError, ValueError):
            return None


@pytest.fixture
def pod(tmp_path: Path) -> Any:
    pod = Pod(tmp_path)
    yield pod
    for name in list(pod.running):
        pod.kill(name)


def test_what_a_pod_acknowledged_is_in_the_table_once_when_the_pod_has_ended(pod: Pod) -> None:
    acknowledged, ended = list[str](), threading.Event()

    def call() -> None:
        while not ended.is_set():
            try:
                answer = httpx.post(f"{pod.url()}/predict", json={"rows": ROWS}, trust_env=False, timeout=5)
                acknowledged.extend(answer.raise_for_status().json()["prediction_ids"])
            except httpx.HTTPError:
                pass
            ended.wait(0.02)

    caller = threading.Thread(target=call, daemon=True)
    try:
        pod.start(names.SHIPPER_CONTAINER)
        pod.start(names.SERVING_CONTAINER)
        assert wait_until(lambda: pod.url() is not None, 60)
        caller.start()
        for name in (names.SERVING_CONTAINER, names.SHIPPER_CONTAINER, names.SERVING_CONTAINER):
            before = len(acknowledged)
            assert wait_until(lambda before=before: len(acknowledged) > before + 20, 60)
            pod.kill(name)
            pod.start(name)
        before = len(acknowledged)
        assert wait_until(lambda: len(acknowledged) > before + 20, 60)
    finally:
        ended.set()
        caller.join(20)
    pod.end()
    assert list((pod.home / "prediction-log").iterdir()) == []
    table = IcebergRowLog(pod.settings).rows(TABLE)
    assert table is not None
    counts = Counter(table.column("prediction_id").to_pylist())
    assert set(acknowledged) - counts.keys() == set()
    assert [i for i, n in counts.items() if n > 1] == []
    assert not (pod.home / "nowhere/catalog.db").exists(), "the pod's own settings were not used"
