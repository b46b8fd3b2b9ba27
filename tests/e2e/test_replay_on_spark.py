"""Version one, made on a laptop, a second time with Spark on Kubernetes: the same rows, the same booster bytes."""

from __future__ import annotations

import json
import re
import secrets
from pathlib import Path

import pytest
import yaml

from tests.e2e.laptop import ROOT, laptop

pytestmark = [pytest.mark.e2e, pytest.mark.e2e_long, pytest.mark.timeout(1800)]
ROWS = 10_000
RUN_SECONDS, REPLAY_SECONDS = 900, 900
EXECUTORS = {"min": 2, "max": 2, "cpu_request": "10m", "memory_mib": 600}


@pytest.fixture
def use_case(tmp_path: Path) -> Path:
    """card_fraud under a name, and on a table, of its own."""
    name = f"e2e_{secrets.token_hex(4)}"
    text = (ROOT / "conf" / "use_cases" / "card_fraud.yaml").read_text(encoding="utf-8")
    document = yaml.safe_load(text)
    document["name"] = name
    document["table"]["name"] = f"{name}.card_transactions"
    document["spark"] = {"executors": EXECUTORS}
    document["deployment"] = {"target": "local"}
    file = tmp_path / f"{name}.yaml"
    file.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return file


def test_a_laptops_version_one_comes_out_identical_on_executors(use_case: Path, tmp_path: Path) -> None:
    with laptop(tmp_path / "home") as here:
        run = here.lakeloop("run", str(use_case), "--json", seconds=RUN_SECONDS)
        try:
            assert run.returncode == 0, run.stdout + run.stderr
        finally:
            here.lakeloop("stop", "--all", seconds=60)
        replay = here.lakeloop(
            "submit",
            str(use_case),
            "--pipeline",
            "replay",
            "--set",
            "version=1",
            "--json",
            seconds=REPLAY_SECONDS,
        )
        assert replay.returncode == 0, replay.stdout + replay.stderr
        told = json.loads(replay.stdout)
        log = here.lakeloop("logs", told["run_id"], "--on", "cluster", seconds=120).stdout
    document = told["replay"]
    assert document["outcome"] == "identical"
    assert document["source"] == "source"
    assert document["rows"] == ROWS
    for compared in ("booster_sha256", "data_digest", "model_digest"):
        assert document[compared]["now"] == document[compared]["recorded"]
    assert re.fullmatch(r"[0-9a-f]{64}", document["booster_sha256"]["recorded"])
    assert "executors: 2 running" in log
