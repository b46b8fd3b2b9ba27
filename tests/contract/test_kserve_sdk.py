"""The clients of the kserve SDK (v1, v2, gRPC) get the booster's scores; it has a locked environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lakeloop.serving.model import load
from tests.bench.serving.servers import install_peer
from tests.fakes.models import model_folder
from tests.fakes.open_inference import TYPES, Running, predictor_process

CLIENT = Path(__file__).parents[1] / "fakes/kserve_client.py"
COLUMNS = {
    "amount": [0.7, 0.2, 0.1, 1e-300, 123456.789],
    "age": [31, -1, 64, 2**31 - 1, 18],
    "kind": ["b", "a", "never seen", "", "c\u00e4\u6f22"],
}
pytestmark = pytest.mark.kserve_sdk


@pytest.fixture(scope="module")
def sdk() -> Path:
    """The SDK's Python; installed on first use."""
    return install_peer("kserve", print)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = model_folder(tmp_path_factory.mktemp("m") / "m", version="7", expression="amount / (age + 2)")
    return Path(made.model_folder)


@pytest.fixture(scope="module")
def predictor(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    scratch = tmp_path_factory.mktemp("predictor")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("LAKELOOP_SERVING_TOKEN", "secret")
        with predictor_process(folder, "--grpc-port", "0", "--workers", "2", scratch=scratch) as running:
            yield running


def asked(sdk: Path, predictor: Running, **changed: Any) -> subprocess.CompletedProcess[str]:
    request = {
        "url": predictor.url,
        "grpc": predictor.address,
        "name": "fraud",
        "token": "secret",
        "columns": COLUMNS,
        "types": TYPES,
    }
    return subprocess.run(
        [sdk, CLIENT],
        input=json.dumps(request | changed),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "NO_PROXY": "127.0.0.1"},
    )


def test_each_client_of_the_sdk_gets_the_scores_that_the_booster_gives(
    sdk: Path, predictor: Running, folder: Path
) -> None:
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in zip(*COLUMNS.values(), strict=True)]
    offline = load(folder).scores(rows)
    ended = asked(sdk, predictor)
    assert ended.returncode == 0, ended.stderr[-3000:]
    told = json.loads(ended.stdout.splitlines()[-1])
    assert told == dict.fromkeys(
        ["v1 objects", "v1 lists", "v2", "v2 binary", "gRPC", "gRPC raw"], offline
    ), told
    assert len(set(offline)) > 2, "the rows tell the forms apart"


def test_the_sdk_tells_its_user_that_a_token_is_wrong(sdk: Path, predictor: Running) -> None:
    ended = asked(sdk, predictor, token="wrong")
    assert ended.returncode == 1
    assert "401 Unauthorized" in ended.stderr
