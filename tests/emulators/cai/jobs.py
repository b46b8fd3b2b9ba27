"""Jobs of the project: their scripts really run, each as a process, and a job that succeeds starts its children."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import uuid
from pathlib import Path
from typing import Any

from tests.emulators.cai.clock import Clock
from tests.emulators.cai.errors import ApiError
from tests.emulators.cai.states import Durations

Item = dict[str, Any]
_CRON = re.compile(r"(\S+\s+){4}\S+\Z")


class Jobs:
    """State and effects of jobs and their runs."""

    def __init__(
        self, project_folder: Path, clock: Clock, durations: Durations, session: dict[str, str]
    ) -> None:
        self.project_folder, self.clock, self.durations = project_folder, clock, durations
        self.session = session
        self.jobs: dict[str, Item] = {}
        self.runs: dict[str, Item] = {}
        self.lock = threading.RLock()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def create(self, project: Item, body: Item) -> Item:
        """A job of the project."""
        self._check(body)
        if body.get("parent_id") and body["parent_id"] not in self.jobs:
            raise ApiError(400, f"parent job {body['parent_id']} not found")
        stamp = self.clock.stamp(self.clock.now())
        job = {
            "timezone": "America/Los_Angeles",
            "paused": False,
            "environment": {},
            **{key: value for key, value in body.items() if key not in {"project_id", "parent_job_id"}},
            "parent_id": body.get("parent_id") or body.get("parent_job_id") or "",
            "id": str(uuid.uuid4()),
            "created_at": stamp,
            "updated_at": stamp,
            "project": {"id": project["id"], "name": project["name"]},
            "type": self._type(body),
            "engine_image_id": 0,
        }
        self.jobs[job["id"]] = job
        return job

    def update(self, job_id: str, body: Item) -> Item:
        """Change the fields that are given; the environment comes as JSON text here."""
        import json

        job = self.get(job_id)
        changes = {key: value for key, value in body.items() if key not in {"id", "created_at", "project"}}
        if isinstance(changes.get("environment"), str):
            try:
                changes["environment"] = json.loads(changes["environment"])
            except ValueError as error:
                raise ApiError(400, f"environment is no JSON: {error}") from error
        self._check({**job, **changes})
        job |= {**changes, "updated_at": self.clock.stamp(self.clock.now())}
        job["type"] = self._type(job)
        return job

    def _check(self, body: Item) -> None:
        if not (self.project_folder / body.get("script", "")).is_file():
            raise ApiError(400, f"script '{body.get('script')}' not found in project directory")
        if body.get("schedule") and not _CRON.match(body["schedule"]):
            raise ApiError(400, f"invalid schedule {body['schedule']!r}")
        if body.get("schedule") and body.get("parent_id"):
            raise ApiError(400, "a job has a schedule or a parent, not both")

    @staticmethod
    def _type(body: Item) -> str:
        parent = body.get("parent_id") or body.get("parent_job_id")
        return "dependent" if parent else "cron" if body.get("schedule") else "manual"

    def get(self, job_id: str) -> Item:
        """One job."""
        if job_id not in self.jobs:
            raise ApiError(404, f"job {job_id} not found")
        return self.jobs[job_id]

    def delete(self, job_id: str) -> Item:
        """One job; children lose their parent."""
        self.get(job_id)
        for run in [r for r in self.runs.values() if r["job_id"] == job_id]:
            self.stop(run["id"])
        del self.jobs[job_id]
        for job in self.jobs.values():
            if job["parent_id"] == job_id:
                job["parent_id"] = ""
        return {}

    def start(self, job_id: str, body: Item) -> Item:
        """A run: scheduling, starting, then its script's process."""
        job, stamp = self.get(job_id), self.clock.stamp(self.clock.now())
        environment = {**(job["environment"] or {}), **(body.get("environment") or {})}
        run = {
            "id": str(uuid.uuid4()),
            "job_id": job_id,
            "project_id": job["project"]["id"],
            "status": "ENGINE_SCHEDULING",
            "created_at": stamp,
            "scheduling_at": stamp,
            "cpu": job.get("cpu", 1),
            "memory": job.get("memory", 2),
            "kernel": job.get("kernel", ""),
            "runtime_identifier": job.get("runtime_identifier", ""),
            "environment": environment,
            "arguments": "",
        }
        self.runs[run["id"]] = run
        threading.Thread(target=self._run, args=(job, run), daemon=True).start()
        return run

    def run(self, job_id: str, run_id: str) -> Item:
        """One run."""
        found = self.runs.get(run_id)
        if found is None or found["job_id"] != job_id:
            raise ApiError(404, f"job run {run_id} not found")
        return found

    def stop(self, run_id: str) -> Item:
        """End its process."""
        run = self.runs[run_id]
        process = self._processes.get(run_id)
        if process is not None and process.poll() is None:
            self._set(run, "ENGINE_STOPPING")
            process.terminate()
        return run

    def close(self) -> None:
        """End what runs."""
        for run_id in list(self._processes):
            self.stop(run_id)

    def _run(self, job: Item, run: Item) -> None:
        threading.Event().wait(self.clock.real(self.durations.job_start))
        self._set(run, "ENGINE_STARTING")
        log = self.project_folder / ".job-logs" / f"{run['id']}.log"
        log.parent.mkdir(exist_ok=True)
        seconds = float(job.get("timeout") or 0)
        environment = {**os.environ, **self.session, **run["environment"], "CDSW_ENGINE_ID": run["id"]}
        with log.open("wb") as output:
            # As the kernel does: the script's text, without __file__, and with an argument that nobody asked for.
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.emulators.cai.kernel", job["script"], "-f", "kernel.json"],
                cwd=self.project_folder,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            self._processes[run["id"]] = process
            self._set(run, "ENGINE_RUNNING")
            status = self._wait(process, seconds)
        if run["status"] == "ENGINE_STOPPING":
            status = "ENGINE_STOPPED"
        self._set(run, status)
        self._start_children(job, skipped=status != "ENGINE_SUCCEEDED")

    @staticmethod
    def _wait(process: subprocess.Popen[bytes], seconds: float) -> str:
        try:
            code = process.wait(seconds or None)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return "ENGINE_TIMEDOUT"
        return "ENGINE_SUCCEEDED" if code == 0 else "ENGINE_FAILED"

    def _start_children(self, job: Item, *, skipped: bool) -> None:
        if skipped:
            return
        for child in [j for j in self.jobs.values() if j["parent_id"] == job["id"] and not j["paused"]]:
            self.start(child["id"], {})

    def _set(self, run: Item, status: str) -> None:
        moment = {
            "ENGINE_STARTING": "starting_at",
            "ENGINE_RUNNING": "running_at",
            "ENGINE_SUCCEEDED": "finished_at",
            "ENGINE_FAILED": "finished_at",
            "ENGINE_TIMEDOUT": "finished_at",
            "ENGINE_STOPPED": "finished_at",
        }.get(status)
        with self.lock:
            if moment:
                run[moment] = self.clock.stamp(self.clock.now())
            run["status"] = status
