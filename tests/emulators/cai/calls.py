"""Each operation of the description, done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.emulators.cai.description import Operation
from tests.emulators.cai.errors import ApiError
from tests.emulators.cai.jobs import Jobs
from tests.emulators.cai.requests import page
from tests.emulators.cai.workbench import USER, Workbench

Item = dict[str, Any]
Path = dict[str, str]
_REGISTERED_KEYS = {"model_name": "name", "creator_id": "owner.username"}
_VERSION_KEYS = {"version_number": "number"}


class Calls:
    """Operations by operationId."""

    def __init__(self, workbench: Workbench, jobs: Jobs) -> None:
        self._w, self._jobs = workbench, jobs
        self._lists = self._listing()
        self._single = {**self._reads(), **self._writes(), **self._job_calls()}

    def perform(self, operation: Operation, path: Path, query: Path, body: Item) -> Item:
        """Do it.

        Raises:
            ApiError: as the platform would answer.
        """
        if "project_id" in path:
            self._w.check_project(path["project_id"])
        if operation.id == "GetRegisteredModel":
            return self._registered(path, query)
        if operation.id in self._lists:
            name, items, aliases = self._lists[operation.id]
            found, token = page(items(path), query, aliases)
            return {name: found, "next_page_token": token}
        return self._single[operation.id](path, body)

    def _listing(self) -> dict[str, tuple[str, Callable[[Path], list[Item]], dict[str, str]]]:
        w, jobs = self._w, self._jobs
        models: Callable[[Path], list[Item]] = lambda _: list(w.models.values())  # noqa: E731
        all_jobs: Callable[[Path], list[Item]] = lambda _: list(jobs.jobs.values())  # noqa: E731
        return {
            "ListProjects": ("projects", lambda _: [w.project()], {}),
            "ListAllModels": ("models", models, {}),
            "ListModels": ("models", models, {}),
            "ListModelBuilds": ("model_builds", lambda p: w.builds_of(p["model_id"]), {}),
            "ListModelDeployments": ("model_deployments", self._deployments, {}),
            "ListRegisteredModels": ("models", self._all_registered, _REGISTERED_KEYS),
            "ListRuntimes": ("runtimes", lambda _: w.runtimes(), {}),
            "ListAllJobs": ("jobs", all_jobs, {}),
            "ListJobs": ("jobs", all_jobs, {}),
            "ListJobRuns": ("job_runs", self._runs, {}),
        }

    def _deployments(self, path: Path) -> list[Item]:
        self._w.build(path["model_id"], path["build_id"])
        return self._w.deployments_of(path["build_id"])

    def _runs(self, path: Path) -> list[Item]:
        self._jobs.get(path["job_id"])
        return [run for run in self._jobs.runs.values() if run["job_id"] == path["job_id"]]

    def _all_registered(self, _: Path) -> list[Item]:
        return [self._w.registered_model(id_) for id_ in self._w.registered]

    def _registered(self, path: Path, query: Path) -> Item:
        model = self._w.registered_model(path["model_id"])
        versions, token = page(model["model_versions"], query, _VERSION_KEYS)
        return {**model, "model_versions": versions, "next_page_token": token}

    def _reads(self) -> dict[str, Callable[[Path, Item], Item]]:
        w = self._w
        return {
            "GetProject": lambda _p, _b: w.project(),
            "GetModel": lambda p, _: w.model(p["model_id"]),
            "GetModelBuild": lambda p, _: w.build(p["model_id"], p["build_id"]),
            "GetModelDeployment": lambda p, _: w.deployment(p["build_id"], p["deployment_id"]),
            "GetRegisteredModelVersion": lambda p, _: w.version(p["version_id"]),
            "ValidateAPIv2Key": lambda _p, b: self._validated(b),
        }

    def _writes(self) -> dict[str, Callable[[Path, Item], Item]]:
        w = self._w
        return {
            "CreateModel": lambda _, b: w.create_model(b),
            "DeleteModel": lambda p, _: w.delete_model(p["model_id"]),
            "CreateModelBuild": lambda p, b: w.create_build(p["model_id"], b),
            "DeleteModelBuild": lambda p, _: w.delete_build(p["model_id"], p["build_id"]),
            "CreateModelDeployment": lambda p, b: w.create_deployment(p["model_id"], p["build_id"], b),
            "StopModelDeployment": lambda p, _: w.stop_deployment(p["build_id"], p["deployment_id"]),
            "RestartModelDeployment": lambda p, _: w.restart_deployment(p["build_id"], p["deployment_id"]),
            "CreateRegisteredModel": lambda _, b: w.register(b),
            "DeleteRegisteredModel": lambda p, _: self._forget(w.registered, p["model_id"]),
            "DeleteRegisteredModelVersion": lambda p, _: self._forget(w.versions, p["version_id"]),
        }

    def _job_calls(self) -> dict[str, Callable[[Path, Item], Item]]:
        jobs = self._jobs
        return {
            "CreateJob": lambda _, b: jobs.create(self._w.project(), b),
            "UpdateJob": lambda p, b: jobs.update(p["job_id"], b),
            "GetJob": lambda p, _: jobs.get(p["job_id"]),
            "DeleteJob": lambda p, _: jobs.delete(p["job_id"]),
            "CreateJobRun": lambda p, b: jobs.start(p["job_id"], b),
            "GetJobRun": lambda p, _: jobs.run(p["job_id"], p["run_id"]),
            "StopJobRun": lambda p, _: jobs.stop(jobs.run(p["job_id"], p["run_id"])["id"]),
        }

    @staticmethod
    def _forget(items: dict[str, Item], id_: str) -> Item:
        if items.pop(id_, None) is None:
            raise ApiError(404, f"{id_} not found")
        return {}

    @staticmethod
    def _validated(body: Item) -> Item:
        if body.get("audience") != "API":
            raise ApiError(403, "audience mismatch")
        return {"valid": True, "username": USER["username"], "message": ""}
