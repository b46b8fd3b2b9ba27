"""`make demo-cai`: an emulated Cloudera AI workbench, the three jobs as code, two redeploys and one that fails.

Everything real but the platform: the jobs' scripts run as processes, the models answer, the client is the one that
the workbench offers. Takes some minutes: the jobs start Spark.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
USE_CASE = "card_fraud"
ENDPOINT = "card-fraud"
TIME_SCALE = 0.02
SPEED = 120.0
COMMAND_SECONDS = 1800


def main() -> int:
    """The demo; its exit code."""
    options = _options()
    folder = Path(tempfile.mkdtemp(prefix="lakeloop-cai-demo-")) if options.folder is None else options.folder
    try:
        return Demo(folder, options.rows).play()
    finally:
        if options.folder is None:
            shutil.rmtree(folder, ignore_errors=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000, help="of each batch")
    parser.add_argument("--folder", type=Path, help="keep everything there")
    return parser.parse_args()


class Demo:
    """A workbench in a folder, and the commands that a user gives."""

    def __init__(self, folder: Path, rows: int) -> None:
        self._folder, self._rows = folder.resolve(), rows

    def play(self) -> int:
        """Apply, run three times, look."""
        sys.path.insert(0, str(ROOT))
        from tests.emulators.cai import client_package
        from tests.emulators.cai.experiments import MlflowExperiments
        from tests.emulators.cai.server import Emulator
        from tests.emulators.cai.workbench import Workbench
        from tests.emulators.cai.worker import OwnProcess

        home = self._folder / "project" / ".lakeloop"
        artifacts = MlflowExperiments(f"sqlite:///{home / 'mlflow.db'}")
        workbench = Workbench(self._folder, speed=SPEED, artifacts=artifacts, worker=OwnProcess)
        with Emulator(workbench) as emulator:
            site = client_package.installed(emulator.url)
            self._environment = {**emulator.session(), **self._variables(site, home)}
            emulator.jobs.session.update(self._environment)
            _title(f"A workbench answers at {emulator.url}; pip install {emulator.url}/api/v2/python.tar.gz")
            self._session(emulator)
            _check(
                not emulator.refused,
                f"no request had a field that the API lacks: {len(emulator.calls)} calls",
            )
        return 0

    def _variables(self, site: Path, home: Path) -> dict[str, str]:
        return {
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(site)]),
            "LAKELOOP_HOME": str(home),
            "LAKELOOP_CAI_PROJECT_FOLDER": str(self._folder / "project"),
            "LAKELOOP_CAI_TIME_SCALE": str(TIME_SCALE),
            "LAKELOOP_DEPLOYMENT_TARGET": "cai",
        }

    def _session(self, emulator: Any) -> None:
        _title("The plan, then the three jobs; applied again, nothing changes")
        self._lakeloop("cai", "apply", USE_CASE, "--env", "DBNAME=bank", "--yes")
        self._lakeloop("cai", "apply", USE_CASE, "--env", "DBNAME=bank", "--yes")
        for version in ("1", "2"):
            _title(f"New Batch, Retrain XGBoost, API Redeployment: version {version}")
            self._run(expect=0)
            _check(self._served(emulator) == version, f"version {version} answers at the model service")
        _title("A third run, whose build fails in the workbench")
        # A step is tried a second time after a failure, and would get through then.
        emulator.workbench.destine("build", "build failed", "build failed")
        self._run(expect=1)
        _check(self._served(emulator) == "2", "version 2 still answers")
        _title("What happened")
        self._lakeloop("cai", "status", USE_CASE)
        self._lakeloop("cai", "history", USE_CASE)
        self._lakeloop("history", USE_CASE)
        _title("The jobs are removed, the endpoint is stopped")
        self._lakeloop("cai", "destroy", USE_CASE, "--endpoint", "--yes")

    def _run(self, *, expect: int) -> None:
        self._lakeloop("cai", "run", USE_CASE, "--rows", str(self._rows), expect=expect)

    def _lakeloop(self, *words: str, expect: int = 0) -> None:
        print(f"\n$ lakeloop {' '.join(words)}", flush=True)
        command = [sys.executable, "-m", "lakeloop.cli", *words]
        environment = {**os.environ, **self._environment}
        done = subprocess.run(command, cwd=ROOT, env=environment, timeout=COMMAND_SECONDS, check=False)
        if done.returncode != expect:
            self._show_logs()
            raise SystemExit(f"lakeloop {' '.join(words)} left with {done.returncode}, not with {expect}")

    def _show_logs(self) -> None:
        for log in sorted(
            (self._folder / "project" / ".job-logs").glob("*.log"), key=lambda p: p.stat().st_mtime
        ):
            print(f"--- {log.name}\n{log.read_text(encoding='utf-8', errors='replace')[-4000:]}", flush=True)

    def _served(self, emulator: Any) -> str:
        """A real prediction, asked as any client asks: with the model's access key and an API key."""
        import httpx

        (model,) = (m for m in emulator.workbench.models.values() if m["name"] == ENDPOINT)
        (row,) = self._rollouts()[0]["sample_request"]["rows"]
        request = {"dataframe_split": {"columns": list(row), "data": [list(row.values())]}}
        answer = httpx.post(
            emulator.model_service_url,
            json={"accessKey": model["access_key"], "request": request},
            headers={"authorization": f"Bearer {emulator.workbench.application_key}"},
            timeout=60,
            trust_env=False,
        ).json()
        print(f"\nPOST modelservice/model -> {json.dumps(answer)}", flush=True)
        return str(answer["response"]["predictions"][0]["model_version"])

    def _rollouts(self) -> list[dict[str, Any]]:
        files = sorted((self._folder / "project" / ".lakeloop" / "journal").glob("*/rollout.json"))
        return [json.loads(file.read_text(encoding="utf-8")) for file in files]


def _title(text: str) -> None:
    print(f"\n== {text}", flush=True)


def _check(holds: bool, text: str) -> None:
    if not holds:
        raise SystemExit(f"NOT SO: {text}")
    print(f"-> {text}", flush=True)


if __name__ == "__main__":
    started = time.monotonic()
    code = main()
    print(f"\ndone in {time.monotonic() - started:.0f} s")
    sys.exit(code)
