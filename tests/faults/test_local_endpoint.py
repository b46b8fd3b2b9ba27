"""A local endpoint under load, crashes and bad models: what a caller sees."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from lakeloop import bootstrap
from lakeloop.adapters.local.deployer import LocalDeployer
from lakeloop.adapters.local.endpoint_folder import EndpointFolder
from lakeloop.adapters.local.process import ServerProcess, wait_until
from lakeloop.domain.errors import LakeloopError, UserError
from lakeloop.domain.model_files import ENCODING_FILE
from lakeloop.domain.online import EntityFeatures, OnlineVersion
from lakeloop.domain.rollout import Candidate
from lakeloop.settings import Settings
from tests.fakes.models import ROWS, candidate, encoding_of, model_folder, two_versions

ENDPOINT = "card-fraud"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Candidate]:
    return two_versions(tmp_path_factory.mktemp("models"))


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    settings = Settings(home=tmp_path)
    yield settings
    LocalDeployer(settings).stop(ENDPOINT)


def roll_out(deployer: LocalDeployer, model: Candidate) -> tuple[str, str]:
    handle = deployer.start(ENDPOINT, model)
    url = deployer.shift(ENDPOINT, handle)
    deployer.finish(ENDPOINT, handle)
    return handle, url


class Load(threading.Thread):
    """Requests one after another, until told to end."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self._url, self.ended = url, threading.Event()
        self.versions: list[str] = []
        self.failures: list[str] = []

    def run(self) -> None:
        with httpx.Client(trust_env=False, timeout=20) as client:
            while not self.ended.is_set():
                try:
                    answer = client.post(f"{self._url}/predict", json={"rows": ROWS})
                    content = answer.raise_for_status().json()
                    assert answer.headers["lakeloop-model-version"] == content["model_version"]
                    self.versions.append(content["model_version"])
                except (httpx.HTTPError, KeyError, AssertionError) as error:
                    self.failures.append(repr(error))


def test_no_request_fails_while_versions_change_back_and_forth_and_a_live_server_is_killed(
    settings: Settings, models: list[Candidate]
) -> None:
    deployer = LocalDeployer(settings)
    _, url = roll_out(deployer, models[0])
    loads = [Load(url) for _ in range(3)]
    for load in loads:
        load.start()
    second = deployer.start(ENDPOINT, models[1])
    deployer.shift(ENDPOINT, second)
    assert wait_until(lambda: loads[0].versions[-1:] == ["2"], 5)
    deployer.roll_back(ENDPOINT, second)
    assert wait_until(lambda: loads[0].versions[-1:] == ["1"], 5)
    second = deployer.start(ENDPOINT, models[1])
    deployer.shift(ENDPOINT, second)
    kill(EndpointFolder(settings.endpoints_folder, ENDPOINT).server(second))
    count = len(loads[0].versions)
    assert wait_until(lambda: len(loads[0].versions) > count + 5, 5)
    for load in loads:
        load.ended.set()
        load.join(timeout=30)
    assert [load.failures for load in loads] == [[], [], []]
    assert loads[0].versions[-1] == "1", "the version that stood by took over"
    assert {v for load in loads for v in load.versions} == {"1", "2"}


def kill(process: ServerProcess) -> None:
    record = json.loads(process.port_file.read_bytes())
    os.kill(record["pid"], signal.SIGKILL)
    assert wait_until(lambda: not process.alive(), 5)


def test_a_killed_server_and_a_killed_gateway_come_back_where_they_were(
    settings: Settings, models: list[Candidate]
) -> None:
    deployer = LocalDeployer(settings)
    handle, url = roll_out(deployer, models[0])
    folder = EndpointFolder(settings.endpoints_folder, ENDPOINT)
    kill(folder.server(handle))
    assert deployer.live(ENDPOINT) is None
    answer = httpx.post(f"{url}/predict", json={"rows": ROWS}, trust_env=False)
    assert (answer.status_code, "did not answer" in answer.json()["error"]) == (503, True)
    kill(folder.gateway)
    assert roll_out(LocalDeployer(settings), models[0]) == (handle, url)
    assert deployer.ask(ENDPOINT, ROWS)["model_version"] == "1"


STARTER = """
import sys
from pathlib import Path
from lakeloop.adapters.local import deployer
from lakeloop.domain.rollout import Candidate
from lakeloop.settings import Settings
local = deployer.LocalDeployer(Settings(home=Path(sys.argv[1])))
model = Candidate.model_validate_json(sys.argv[2])
folder = local._folder("card-fraud")
with folder.changing():
    handle = folder.keep_model(model)
    options = ["--model-folder", str(folder.model_folder(handle))]
    folder.server(handle)._spawn("lakeloop.serving.predictor", options, {})
    print(handle, flush=True)
    import os, signal
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_server_whose_starter_was_killed_is_found_not_started_twice(
    settings: Settings, models: list[Candidate]
) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", STARTER, str(settings.root), models[0].model_dump_json()],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    process = EndpointFolder(settings.endpoints_folder, ENDPOINT).server(ended.stdout.strip())
    assert process.alive()
    spawned = int(process.port_file.with_suffix(".pid").read_text(encoding="utf-8"))
    deployer = LocalDeployer(settings)
    assert deployer.start(ENDPOINT, models[0]) == process.name
    assert json.loads(process.port_file.read_bytes())["pid"] == spawned
    assert deployer.predict(ENDPOINT, process.name, ROWS)


def test_a_recorded_pid_that_is_somebody_elses_by_now_is_not_signalled(tmp_path: Path) -> None:
    process = ServerProcess(tmp_path, "model")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        process.port_file.write_text(json.dumps({"pid": stranger.pid, "port": 1}), encoding="utf-8")
        (tmp_path / "model.lock").touch()
        assert not process.stop()
        assert process.port() is None
        assert stranger.poll() is None
        stranger.communicate(b"\n", timeout=10)
    assert stranger.returncode == 0


def test_a_taken_port_is_named_and_nothing_is_routed(settings: Settings, models: list[Candidate]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        deployer = LocalDeployer(settings, port=port)
        handle = deployer.start(ENDPOINT, models[0])
        with pytest.raises(UserError, match=f"port {port}"):
            deployer.shift(ENDPOINT, handle)
    assert deployer.shift(ENDPOINT, handle) == f"http://127.0.0.1:{port}"
    with socket.create_server(("127.0.0.1", 0)) as free:
        other = free.getsockname()[1]
    moved = LocalDeployer(settings, port=other)
    assert moved.shift(ENDPOINT, handle) == f"http://127.0.0.1:{other}"
    assert moved.live(ENDPOINT).version == "1"


def test_what_cannot_be_served_is_refused_before_traffic_and_says_why(
    settings: Settings, models: list[Candidate], tmp_path: Path
) -> None:
    deployer = LocalDeployer(settings)
    roll_out(deployer, models[0])
    folder = tmp_path / "bad"
    for problem, bad in (
        ("features", lambda: swapped_features(folder)),
        ("nope", lambda: model_folder(folder, expression="nope + 1")),
        ("xgboost_version is .*, expected 0.90", lambda: other_xgboost(folder)),
    ):
        with pytest.raises(LakeloopError, match=problem):
            deployer.start(ENDPOINT, bad())
        assert deployer.ask(ENDPOINT, ROWS)["model_version"] == "1"
    running = [s.name for s in EndpointFolder(settings.endpoints_folder, ENDPOINT).servers() if s.alive()]
    assert len(running) == 1


def swapped_features(folder: Path) -> Candidate:
    model_folder(folder)
    encoding = encoding_of()
    other = encoding.model_copy(update={"features": encoding.features[::-1]})
    (folder / ENCODING_FILE).write_text(other.model_dump_json(), encoding="utf-8")
    return candidate(folder)


def other_xgboost(folder: Path) -> Candidate:
    model_folder(folder)
    return candidate(folder, xgboost_version="0.90")


def test_a_server_that_hangs_at_start_is_ended_after_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hangs.py").write_text("import time; time.sleep(60)", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    process = ServerProcess(tmp_path, "model")
    started = time.monotonic()
    with pytest.raises(LakeloopError, match=r"did not listen within 0\.5 s"):
        process.start("hangs", [], 0.5)
    assert time.monotonic() - started < 10
    assert not process.alive()


def test_an_endpoint_of_a_use_case_whose_features_are_looked_up_answers_ids(
    settings: Settings, models: list[Candidate]
) -> None:
    deployer = LocalDeployer(settings, online_features=True)
    _, url = roll_out(deployer, models[0])
    with httpx.Client(base_url=url, trust_env=False, timeout=20) as client:
        assert client.post("/predictions", json={"ids": ["7"]}).status_code == 503, "nothing is published yet"
        _publish(settings, models[0])
        by_id = client.post("/predictions", json={"ids": ["7"]}).raise_for_status().json()
        assert by_id["scores"] == client.post("/predictions", json={"rows": ROWS[:1]}).json()["scores"]
        assert client.post("/predictions", json={"ids": ["8"]}).status_code == 404
    deployer.stop(ENDPOINT)
    rows = bootstrap.row_log(settings).rows("predictions.fraud", ["prediction_id"])
    assert rows is not None
    assert by_id["prediction_ids"][0] in rows.column(0).to_pylist(), "the last pass shipped it"


def _publish(settings: Settings, model: Candidate) -> None:
    """The features of the first row, under id 7."""
    features = dict(ROWS[0])
    version = OnlineVersion(
        use_case="fraud",
        feature_hash=model.identity.feature_hash,
        feature_table="bank.features",
        feature_snapshot_id="1",
        source_snapshot_id="1",
        computed_at="2026-01-01T00:00:00Z",
        entity=("id",),
        features=tuple(features),
    )
    bootstrap.online_store(settings).publish(
        version, [("7", EntityFeatures(event_time=None, features=features))]
    )


ELSEWHERE = """
import sys
from pathlib import Path
from lakeloop.adapters.local.deployer import LocalDeployer
from lakeloop.domain.rollout import Candidate
from lakeloop.settings import Settings
local = LocalDeployer(Settings(home=Path(sys.argv[1])))
handle = local.start("card-fraud", Candidate.model_validate_json(sys.argv[2]))
url = local.shift("card-fraud", handle)
local.finish("card-fraud", handle)
print(url, local.live("card-fraud").version)
local.stop("card-fraud")
"""


def test_an_endpoint_that_listens_in_another_network_is_replaced(
    settings: Settings, models: list[Candidate]
) -> None:
    """A machine's network may be cut off by a namespace of its own, as in a sandbox: nothing answers there."""
    alone = ["unshare", "--net", "sh", "-c"]
    if subprocess.run([*alone, "ip link set lo up"], capture_output=True, timeout=20, check=False).returncode:
        pytest.skip("no right to make a network namespace here")
    _, url = roll_out(LocalDeployer(settings), models[0])
    done = subprocess.run(
        [
            *alone,
            'ip link set lo up && exec "$@"',
            "sh",
            sys.executable,
            "-c",
            ELSEWHERE,
            str(settings.home),
            models[1].model_dump_json(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.split() == [url, "2"], done.stderr
