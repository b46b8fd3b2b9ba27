"""A user's folder that a fault can be played in again and again: files to land, a home, a live endpoint."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from lakeloop.adapters.local.deployer import LocalDeployer
from lakeloop.cli.run import WARM_MODULES, WARM_MODULES_LATER
from lakeloop.runners.process.warm import WarmInterpreter, WarmProcess
from lakeloop.settings import Settings
from tests.faults.crash_matrix.points import WANTED

ROOT = Path(__file__).resolve().parents[3]
RUN_SECONDS = 600
READY_SECONDS = 300
COMMAND = "tests.faults.crash_matrix.command"
ENDPOINT = "pumps"
BATCH_ROWS = 400
_FORKED = (
    *WARM_MODULES,
    *WARM_MODULES_LATER,
    "lakeloop.cli",
    "lakeloop.cli.run",
    "lakeloop.runners.process",
    "lakeloop.adapters.duckdb.profiler",
    "lakeloop.adapters.local.deployer",
    "pyspark.sql",
    "pyiceberg.catalog.sql",
    "components.train_model.core",
    "components.evaluate_model.core",
    "tests.faults.crash_matrix.facts",
    "mlflow.store.model_registry.sqlalchemy_store",
)


def use_case(inbox: Path, **changes: Any) -> dict[str, Any]:
    """A small model of which each later batch makes a promoted version, unless `changes` say otherwise."""
    columns = {"id": "long", "at": "timestamp", "amount": "double", "kind": "string", "failed": "int"}
    document: dict[str, Any] = {
        "name": "pumps",
        "table": {"name": "plant.pumps", "key": ["id"], "event_time": "at", "columns": columns},
        "source": {"kind": "files", "path": str(inbox / "*.csv"), "per_batch": "file"},
        "expectations": {"not_null": ["id", "at"], "ranges": {"amount": {"min": 0}}, "unique": ["id"]},
        "label": {"column": "failed"},
        "features": ["amount", "kind", {"name": "double", "expression": "amount * 2"}],
        "train": {"rounds": 10, "threads": 1},
        "gate": {"min_rows": 10, "min_positives": 2, "max_loss": 1.0, "bootstrap_samples": 100},
        "deployment": {"timeout_seconds": 300},
    }
    return {**document, **changes}


def csv_text(number: int, amount: str = "") -> str:
    """A batch's file; every third row is positive, larger amounts more so. `amount` spoils the first row."""
    lines = ["id,at,amount,kind,failed"]
    for i in range(number * BATCH_ROWS, (number + 1) * BATCH_ROWS):
        value = amount if amount and i % BATCH_ROWS == 0 else f"{(i * 37) % 101 + 50 * (i % 3 == 0)}.5"
        lines.append(f"{i},2025-{1 + number:02d}-{1 + i // 60 % 28:02d}T00:{i % 60:02d}:00Z,{value},"
                     f"{'ab'[i % 2]},{int(i % 3 == 0)}")  # fmt: skip
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    run_id: str
    output: str
    seconds: float


@dataclass
class World:
    """One home at one path, copied away and back: an Iceberg catalog has absolute paths in it."""

    folder: Path
    starter: WarmInterpreter = field(init=False)
    changes: dict[str, Any] = field(default_factory=dict)
    calls: int = 0
    engine: str = "spark"

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in ("inbox", "kept", "once", "logs"):
            (self.folder / name).mkdir()
        for number in range(3):
            (self.folder / "kept" / f"batch{number}.csv").write_text(csv_text(number), encoding="utf-8")
        (self.folder / "kept" / "spoiled.csv").write_text(csv_text(1, "-1"), encoding="utf-8")
        self.starter = WarmInterpreter(_FORKED, ROOT, self.environment)

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def settings(self) -> Settings:
        return Settings(home=self.home)

    @property
    def environment(self) -> dict[str, str]:
        inject = Path(__file__).with_name("inject")
        return {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(map(str, [inject, ROOT / "src", ROOT])),
            "LAKELOOP_HOME": str(self.home),
            "LAKELOOP_GIT_COMMIT": "tests",
            "OMP_NUM_THREADS": "1",  # a pool of threads does not survive the second fork
            "LAKELOOP_SPARK_MASTER": "local[2]",
            "LAKELOOP_ENGINE": self.engine,
            "LAKELOOP_TEST_POINTS": json.dumps(WANTED),
            "LAKELOOP_TEST_ONCE": str(self.folder / "once"),
        }

    def offer(self, *names: str) -> None:
        """Exactly these files lie in the inbox, with the times that they have always had."""
        for path in (self.folder / "inbox").iterdir():
            path.rename(self.folder / "kept" / path.name)
        for name in names:
            (self.folder / "kept" / f"{name}.csv").rename(self.folder / "inbox" / f"{name}.csv")

    def run(self, *words: str, faults: dict[str, str] | None = None, **changes: Any) -> Ended:
        """`lakeloop run`, to its end or its death."""
        return self.call(*self.run_command(**changes), *words, faults=faults)

    def run_command(self, **changes: Any) -> tuple[str, str]:
        """What to call for a run."""
        return "run", str(self.file(**changes))

    def facts(self) -> dict[str, Any]:
        """What there is to see, without ids and times."""
        place = self.folder / "facts.json"
        ended = self.call("facts", str(self.file("facts.yaml")), str(place))
        assert ended.code == 0, ended.output
        found: dict[str, Any] = json.loads(place.read_bytes())
        return found

    def file(self, name: str = "pumps.yaml", **changes: Any) -> Path:
        """The use case in a file; looking at facts must not change the one that runs are called with."""
        path = self.folder / name
        document = use_case(self.folder / "inbox", **self.changes, **changes)
        path.write_text(yaml.safe_dump(document), encoding="utf-8")
        return path

    def call(self, *words: str, faults: dict[str, str] | None = None) -> Ended:
        """A command in a process of its own."""
        self.calls += 1
        for marker in (self.folder / "once").iterdir():
            marker.unlink()
        log, started = self.folder / "logs" / f"{self.calls}.txt", time.monotonic()
        process = self.begin(words, {**self.environment, **(faults or {})}, log)
        code = process.wait(RUN_SECONDS)
        seconds = time.monotonic() - started
        return Ended(code, self.newest_run(), log.read_text(encoding="utf-8"), seconds)

    def begin(self, words: Sequence[str], environment: Mapping[str, str], log: Path) -> WarmProcess:
        """A command that goes on."""
        if not self.starter._ready.wait(READY_SECONDS):
            raise TimeoutError(f"the warm interpreter is not ready after {READY_SECONDS} s")
        process = self.starter.start(COMMAND, words, environment, self.folder, log)
        assert process is not None, "no process was forked"
        return process

    def newest_run(self) -> str:
        """Id of the last run that was started."""
        runs = self.home / "runs"
        return max((path.name for path in runs.iterdir()), default="") if runs.is_dir() else ""

    def copy(self, name: str) -> None:
        """Remember the home; endpoints live on and are not part of it."""
        shutil.copytree(self.home, self.folder / "copies" / name, ignore=shutil.ignore_patterns("endpoints"))

    def restore(self, name: str) -> None:
        """The home as it was remembered, its champion live."""
        self._forget()
        self._copy_back(name)
        served = self.call("serve", str(self.file()))
        assert served.code == 0, served.output

    def restore_without_endpoint(self, name: str) -> None:
        """The home as it was remembered, before there was any champion."""
        self.empty()
        self._copy_back(name)

    def _copy_back(self, name: str) -> None:
        shutil.copytree(self.folder / "copies" / name, self.home, dirs_exist_ok=True)

    def empty(self) -> None:
        """Nothing, as before the first run ever."""
        LocalDeployer(self.settings).stop(ENDPOINT)
        shutil.rmtree(self.home, ignore_errors=True)

    def _forget(self) -> None:
        for path in self.home.iterdir():
            if path.name != "endpoints":
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def close(self) -> None:
        self.starter.close()
        LocalDeployer(self.settings).stop(ENDPOINT)
