"""Requests through the gateway while the workbench redeploys ten times, two of them bad: none fails."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any, Self

import httpx
import pytest

from lakeloop.adapters.cai.blue_green import BlueGreenDeployer
from lakeloop.domain.rollout import Candidate
from lakeloop.domain.workbench import Canary
from lakeloop.rollout.proof import ProofRows
from lakeloop.rollout.rolling_out import RollingOut, RolloutFailedError
from lakeloop.serving.model import load
from lakeloop.serving.rows import parse_request
from lakeloop.settings import Settings
from tests.emulators.cai.server import Emulator
from tests.emulators.cai.testing import SPEC, FolderServingModels, api_of, emulated
from tests.fakes.models import ROWS, candidate, model_folder

ENDPOINT = "card-fraud"
REQUESTS_PER_SECOND = 40
SHIFT_ALLOWED = 0.15


class Load:
    """So many requests a second, each on its own time, until the block ends."""

    def __init__(self, url: str) -> None:
        self._url, self._end = url, threading.Event()
        self.answered: list[str] = []
        self.failed: list[str] = []
        self._threads = [threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(4)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join(90)

    def _run(self, number: int) -> None:
        pause = len(self._threads) / REQUESTS_PER_SECOND
        due = time.monotonic() + number * pause / len(self._threads)
        with httpx.Client(trust_env=False, timeout=60) as client:
            while not self._end.wait(max(0.0, due - time.monotonic())):
                due += pause
                self._one(client)

    def _one(self, client: httpx.Client) -> None:
        try:
            answer = client.post(f"{self._url}/predict", json={"rows": ROWS[:1]})
            if answer.status_code == 200:
                self.answered.append(str(answer.json()["model_version"]))
            else:
                self.failed.append(f"{answer.status_code}: {answer.text[:200]}")
        except httpx.HTTPError as error:
            self.failed.append(f"{type(error).__name__}: {error}")


def deployer_of(emulator: Emulator) -> BlueGreenDeployer:
    canary = Canary(
        weights=(20, 100), step_seconds=1.0, max_latency_ratio=1000, max_score_shift=SHIFT_ALLOWED
    )
    settings = Settings(home=emulator.workbench.folder / "home")
    models = FolderServingModels(emulator.workbench.folder / "experiments")
    spec = SPEC.model_copy(update={"canary": canary, "keep": 2})
    return BlueGreenDeployer(api_of(emulator), spec, models, settings)


def roll_out(emulator: Emulator, model: Candidate) -> str:
    served = load(Path(model.model_folder))
    rows = parse_request(json.dumps({"rows": ROWS}).encode(), served.encoding.source_columns)
    proof = ProofRows(raw=tuple(ROWS), offline=tuple(served.scores(rows)))
    deployer: Any = deployer_of(emulator)
    return RollingOut(deployer, ENDPOINT, model, proof, 1e-6, lambda: None, lambda _: None).run().url


@pytest.mark.slow
def test_no_request_fails_while_ten_versions_come_two_of_them_bad(tmp_path: Path) -> None:
    model_folder(tmp_path / "good", seed=1)
    other = far_from(tmp_path, tmp_path / "good")
    with emulated(tmp_path / "workbench") as emulator:
        url = roll_out(emulator, candidate(tmp_path / "good", version="1"))
        with Load(url) as load_:
            for number in range(2, 12):
                if number == 4:
                    emulator.workbench.destine("deployment", "failed")
                    with pytest.raises(RolloutFailedError, match="ended as 'failed'"):
                        roll_out(emulator, candidate(tmp_path / "good", version="4"))
                elif number == 7:
                    with pytest.raises(RolloutFailedError, match="mean score"):
                        roll_out(emulator, candidate(other, version="7"))
                else:
                    roll_out(emulator, candidate(tmp_path / "good", version=str(number)))
        final = deployer_of(emulator)
        live = final.live(ENDPOINT)
        final.stop(ENDPOINT)
        assert load_.failed == []
        assert live is not None
        assert live.version == "11"
        assert {"1", "2", "10", "11"} <= set(load_.answered)
        assert "4" not in load_.answered
        assert len(load_.answered) > 200
        assert emulator.refused == []
        assert {m["name"] for m in emulator.workbench.models.values()} == {
            f"{ENDPOINT}-blue",
            f"{ENDPOINT}-green",
        }


def far_from(folder: Path, good: Path) -> Path:
    """A model whose scores of the load's row are far from the good one's."""
    columns = load(good).encoding.source_columns
    row = parse_request(json.dumps({"rows": ROWS[:1]}).encode(), columns)
    (wanted,) = load(good).scores(row)
    for seed in range(2, 40):
        place = folder / f"other-{seed}"
        model_folder(place, seed=seed)
        if abs(load(place).scores(row)[0] - wanted) > SHIFT_ALLOWED + 0.1:
            return place
    raise AssertionError("no such model")
