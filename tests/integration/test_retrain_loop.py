"""The main job as a user runs it: the command line, the committed pipeline, real processes, real everything."""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.spark, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
RUN_TIMEOUT_SECONDS = 300
ROWS = "4000"


@dataclass(frozen=True)
class Loop:
    """A user's folder: the command line with a home of its own."""

    home: Path
    folder: Path
    engine: str = "auto"

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "LAKELOOP_HOME": str(self.home), "LAKELOOP_ENGINE": self.engine}

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "lakeloop.cli", *words]

    def call(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words),
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=RUN_TIMEOUT_SECONDS,
            check=False,
        )

    def json(self, *words: str, code: int = 0) -> Any:
        done = self.call(*words, "--json")
        assert done.returncode == code, done.stdout + done.stderr
        return json.loads(done.stdout)


def loop_in(folder: Path) -> Iterator[Loop]:
    loop = Loop(folder / "home", folder)
    yield loop
    loop.call("stop", "--all")


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loop]:
    yield from loop_in(tmp_path_factory.mktemp("user"))


@pytest.fixture(scope="module")
def first(loop: Loop) -> Any:
    return loop.json("run", str(ROOT / "conf/use_cases/card_fraud.yaml"), "--rows", ROWS)


@pytest.fixture(scope="module")
def second(loop: Loop, first: Any) -> Any:
    return loop.json("run", str(ROOT / "conf/use_cases/card_fraud.yaml"), "--rows", ROWS)


def post(url: str, rows: list[dict[str, Any]]) -> Any:
    body = json.dumps({"rows": rows}).encode()
    request = urllib.request.Request(f"{url}/predict", body, {"Content-Type": "application/json"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        return json.load(answer)


def test_the_first_run_ends_with_a_live_model_that_answers(first: Any) -> None:
    assert first["verdict"]["bootstrap"]
    assert first["rollout"]["outcome"] == "live"
    sample = first["rollout"]["sample_request"]["rows"]
    served = first["rollout"]["sample_response"]
    assert served["model_version"] == "1"
    assert served["snapshot_id"] == first["ingest"]["snapshot_id"]
    assert 0 < served["scores"][0] < 1
    assert set(sample[0]) >= {"age", "transaction_amount"}


def test_the_report_ties_the_answer_to_its_snapshots(first: Any) -> None:
    page = Path(first["report"]["path"]).read_text()
    for known in (
        first["ingest"]["snapshot_id"],
        first["training_set"]["feature_snapshot_id"],
        first["training"]["mlflow_run_id"],
        first["training"]["lineage"]["run_key"],
        first["rollout"]["url"],
    ):
        assert known in page


def test_the_second_run_reads_exactly_the_new_snapshot_and_meets_the_champion(
    first: Any, second: Any
) -> None:
    range_ = second["plan"]["range"]
    assert range_["from_snapshot_id"] == first["ingest"]["snapshot_id"]
    assert range_["to_snapshot_id"] == second["ingest"]["snapshot_id"]
    assert second["plan"]["added_rows"] == int(ROWS)
    assert second["verdict"]["champion_version"] == "1"
    assert second["verdict"]["champion"] is not None
    assert second["training"]["holdout_rows"] == int(ROWS) // 5


def test_independent_steps_overlap(second: Any) -> None:
    profile, ingest = second["step_profile_batch"], second["step_ingest_batch"]
    assert profile["started_at_ms"] < ingest["started_at_ms"] + 1000 * ingest["seconds"]
    assert ingest["started_at_ms"] < profile["started_at_ms"] + 1000 * profile["seconds"]


def with_jvm(loop: Loop, run: Any) -> set[str]:
    """Steps that started one: Java's own first line is in their logs."""
    logs = (loop.home / "runs" / run["run_id"] / "tasks").rglob("log.txt")
    return {path.parts[-3] for path in logs if "incubator modules" in path.read_text()}


def test_a_small_loop_starts_no_jvm(loop: Loop, second: Any) -> None:
    assert with_jvm(loop, second) == set()


def test_only_the_spark_steps_start_a_jvm_and_the_booster_does_not_tell_the_engine(
    tmp_path: Path, first: Any
) -> None:
    by_spark = Loop(tmp_path / "home", tmp_path, engine="spark")
    try:
        run = by_spark.json("run", str(ROOT / "conf/use_cases/card_fraud.yaml"), "--rows", ROWS)
        assert with_jvm(by_spark, run) == {"ingest-batch", "build-training-set"}
        assert run["training"]["booster_sha256"] == first["training"]["booster_sha256"]
        assert run["ingest"]["rows"] == first["ingest"]["rows"]
    finally:
        by_spark.call("stop", "--all")


def test_history_status_and_endpoint_agree(loop: Loop, second: Any) -> None:
    status = loop.json("status", str(ROOT / "conf/use_cases/card_fraud.yaml"))
    events = loop.json("history", str(ROOT / "conf/use_cases/card_fraud.yaml"))
    promoted = second["verdict"]["decision"] == "promote"
    version = "2" if promoted else "1"
    assert json.dumps(status).count(f'"{version}"') >= 1
    kinds = [e["kind"] for e in (events["events"] if isinstance(events, dict) else events)]
    assert kinds.count("promoted") + kinds.count("rejected") == 2


def test_the_first_version_comes_out_identical_a_second_time(loop: Loop, first: Any, second: Any) -> None:
    use_case = str(ROOT / "conf/use_cases/card_fraud.yaml")
    for source in ("source", "features"):
        replayed = loop.json("replay", use_case, "1", "--from", source)
        assert (replayed["exit_code"], replayed["outcome"], replayed["differences"]) == (0, "identical", [])
        assert replayed["booster_sha256"]["now"] == first["training"]["booster_sha256"]
        assert replayed["rows"] == int(ROWS)
    unknown = loop.json("replay", use_case, "9", code=2)
    assert "no version 9" in unknown["error"]["problem"]
    assert unknown["error"]["exit_code"] == 2


def test_a_poisoned_batch_never_becomes_visible_and_is_kept(loop: Loop, second: Any) -> None:
    done = loop.call(
        "run",
        str(ROOT / "conf/use_cases/card_fraud.yaml"),
        "--rows",
        ROWS,
        "--plant",
        "out_of_range:age=0.05",
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert "range(age)" in done.stdout + done.stderr
    status = loop.json("plan", str(ROOT / "conf/use_cases/card_fraud.yaml"))
    assert status["action"] == "nothing", "the refused batch must not be part of the table"
    kept = list((loop.home / "staging/quarantine/card_fraud").rglob("*"))
    assert any(path.suffix == ".parquet" for path in kept)
    assert any(path.name == "rules.json" for path in kept)


def test_a_killed_run_is_resumed_without_landing_twice(loop: Loop, second: Any) -> None:
    use_case = str(ROOT / "conf/use_cases/card_fraud.yaml")
    process = subprocess.Popen(
        loop.command("run", use_case, "--rows", ROWS),
        cwd=loop.folder,
        env=loop.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    run_id = _wait_for_document(loop, process, "ingest", known=set(_runs(loop)))
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=10)
    resumed = loop.json("run", use_case, "--resume", run_id)
    tasks = {path.rpartition("/")[2]: task["state"] for path, task in resumed["tasks"].items()}
    assert tasks["generate-batch"] == "reused"
    assert resumed["plan"]["added_rows"] == int(ROWS), "the batch landed once"
    assert resumed["plan"]["range"]["from_snapshot_id"] == second["ingest"]["snapshot_id"]


def _runs(loop: Loop) -> list[str]:
    return [path.name for path in (loop.home / "journal").iterdir()]


def _wait_for_document(loop: Loop, process: subprocess.Popen[bytes], name: str, known: set[str]) -> str:
    deadline = time.monotonic() + RUN_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, "the run ended before it could be killed"
        for run in set(_runs(loop)) - known:
            if (loop.home / "journal" / run / f"{name}.json").exists():
                return run
        time.sleep(0.05)
    raise AssertionError(f"no {name} document after {RUN_TIMEOUT_SECONDS} s")


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[Loop]:
    yield from loop_in(tmp_path)


def test_a_csv_that_nobody_has_seen_is_trained_on_and_served_by_configuration_alone(stranger: Loop) -> None:
    _write_churn(stranger.folder / "churn.csv", rows=6000)
    assert stranger.call("init", "churn.csv", "--label", "churned").returncode == 0
    drafted = stranger.folder / "conf/use_cases/churn.yaml"
    assert len(drafted.read_text().splitlines()) <= 40
    run = stranger.json("run", "churn")
    assert run["rollout"]["outcome"] == "live"
    calls = {"plan": "basic", "monthly.fee": 20.0, "is_vip": False, "country": "DE"}
    url = run["rollout"]["url"]
    few, many = post(url, [{**calls, "support_calls": 0}, {**calls, "support_calls": 9}])["scores"]
    assert many > few + 0.2, "the model learnt what the data says"
    again = stranger.json("run", "churn")
    assert again["plan"]["action"] == "nothing", "no new file: nothing to do, and a green run"
    logs = (stranger.home / "runs" / again["run_id"] / "tasks").rglob("log.txt")
    assert not [path for path in logs if "incubator modules" in path.read_text()], "and no JVM for nothing"


def _write_churn(path: Path, rows: int) -> None:
    rng, at = random.Random(5), datetime(2024, 1, 1, tzinfo=UTC)
    header = [
        "Customer ID",
        "signup date",
        "plan",
        "monthly.fee",
        "support_calls",
        "is_vip",
        "country",
        "churned",
    ]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        for i in range(rows):
            at += timedelta(minutes=rng.randint(1, 60))
            calls, plan = rng.randint(0, 9), rng.choice(["basic", "pro", "max", ""])
            churned = rng.random() < 0.05 + 0.06 * calls + (0.2 if plan == "basic" else 0)
            fee = round(rng.uniform(5, 80), 2) if rng.random() > 0.03 else ""
            vip, country = rng.choice(["true", "false"]), rng.choice(["DE", "ES", "FR"])
            moment, label = f"{at:%Y-%m-%d %H:%M:%S}", "yes" if churned else "no"
            writer.writerow([f"C{i:05d}", moment, plan, fee, calls, vip, country, label])
