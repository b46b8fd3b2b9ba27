"""Jobs of the project through API v2."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from lakeloop.adapters.cai.api import Api, Item
from lakeloop.domain.errors import LakeloopError
from lakeloop.domain.workbench import RuntimeNeeds
from lakeloop.domain.workbench_jobs import Job, JobRun, JobSpec
from lakeloop.domain.workbench_models import as_map, choose_runtime, in_order, normalised


class CaiJobBoard:
    """JobBoard (lakeloop.ports.job_board)."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def runtime(self, needs: RuntimeNeeds) -> str:
        """Identifier of the newest runtime that has what is needed.

        Raises:
            UserError: there is none.
        """
        return choose_runtime(self._api.pages("list_runtimes", "runtimes"), needs)

    def jobs(self, names: Sequence[str]) -> list[Job]:
        """Jobs of these exact names, oldest first.

        Raises:
            CallError: they cannot be listed.
        """
        listed = self._listed()
        title = {str(item["id"]): str(item.get("name")) for item in listed}
        same = sorted(
            (i for i in listed if i.get("name") in names), key=lambda i: in_order(i.get("created_at"))
        )
        return [Job(job_id=str(item["id"]), spec=_spec(item, title)) for item in same]

    def place_scripts(self, scripts: Mapping[str, str]) -> list[str]:
        """Write what differs into the project's folder, where it is here."""
        folder = self._api.where.project_folder
        if folder is None:
            return []
        written = []
        for name, text in scripts.items():
            path = folder / name
            if path.is_file() and path.read_text(encoding="utf-8") == text:
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_name(f".{path.name}.{os.getpid()}")
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(path)
            written.append(name)
        return written

    def create(self, spec: JobSpec) -> str:
        """Make a job; its id.

        Raises:
            CallError: the workbench refuses.
        """

        def look() -> Item | None:
            found = self.jobs([spec.name])
            return {"id": found[0].job_id} if found else None

        fields = {"project_id": self._api.project_id, **self._fields(spec), "timeout": spec.timeout_seconds}
        fields |= {"environment": spec.environment, "parent_id": self._parent_id(spec) or None}
        made = self._api.create("create_job", "CreateJobRequest", fields, self._api.project_id, look=look)
        return str(made["id"])

    def update(self, job_id: str, spec: JobSpec) -> None:
        """Change a job. Here the API wants the environment as JSON text and the time limit as text.

        Raises:
            CallError: the workbench refuses.
        """
        fields = {"id": job_id, **self._fields(spec), "timeout": str(spec.timeout_seconds)}
        fields |= {"environment": json.dumps(spec.environment), "parent_id": self._parent_id(spec)}
        self._api.update("update_job", "Job", fields, self._api.project_id, job_id)

    def remove(self, job_id: str) -> None:
        """Remove a job.

        Raises:
            CallError: the workbench refuses.
        """

        def gone() -> bool:
            return all(item["id"] != job_id for item in self._listed())

        self._api.change("delete_job", self._api.project_id, job_id, done=gone)

    def start(self, job_id: str, environment: Mapping[str, str]) -> str:
        """Start a run; its id.

        Raises:
            CallError: the workbench refuses.
        """
        before = {run.run_id for run in self.runs(job_id)}

        def look() -> Item | None:
            new = [run for run in self.runs(job_id) if run.run_id not in before]
            return {"id": new[0].run_id} if new else None

        fields: Item = {"project_id": self._api.project_id, "job_id": job_id}
        fields["environment"] = dict(environment) or None
        path = (self._api.project_id, job_id)
        return str(self._api.create("create_job_run", "CreateJobRunRequest", fields, *path, look=look)["id"])

    def runs(self, job_id: str) -> list[JobRun]:
        """Runs of a job, oldest first.

        Raises:
            CallError: they cannot be listed.
        """
        listed = self._api.pages(
            "list_job_runs", "job_runs", self._api.project_id, job_id, sort="-created_at"
        )
        moments = ("created_at", "running_at", "finished_at")
        found = [
            JobRun(
                run_id=str(item["id"]),
                job_id=job_id,
                status=normalised(item.get("status")),
                **{name: str(item.get(name) or "") for name in moments},
            )
            for item in listed
            if item.get("id")
        ]
        return sorted(found, key=lambda run: in_order(run.created_at))

    def _listed(self) -> list[Item]:
        return [item for item in self._api.pages("list_jobs", "jobs", self._api.project_id) if item.get("id")]

    def _parent_id(self, spec: JobSpec) -> str:
        if not spec.parent:
            return ""
        found = self.jobs([spec.parent])
        if not found:
            raise LakeloopError(
                f"job {spec.parent!r} is not there", where=f"job {spec.name!r}", fix="apply again"
            )
        return found[0].job_id

    @staticmethod
    def _fields(spec: JobSpec) -> Item:
        sized: Item = {"resource_group_id": spec.resource_group_id}
        if spec.resource_profile_id is not None:
            sized["resource_profile_id"] = spec.resource_profile_id
        else:
            sized |= {"cpu": spec.cpu, "memory": spec.memory_gib}
        return {
            **sized,
            "name": spec.name,
            "script": spec.script,
            "nvidia_gpu": spec.gpus,
            "schedule": spec.schedule,
            "timezone": spec.timezone,
            "kill_on_timeout": True,
            "runtime_identifier": spec.runtime_identifier,
            "runtime_addon_identifiers": list(spec.runtime_addons),
        }


def _spec(item: Item, titles: Mapping[str, str]) -> JobSpec:
    """A job as the API writes it: int64 as text, environment as text or object."""
    parent = str(item.get("parent_id") or "")
    profile = _whole(item.get("resource_profile_id"))
    return JobSpec(
        name=str(item["name"]),
        script=str(item.get("script") or ""),
        parent=titles.get(parent, parent),
        cpu=float(item.get("cpu") or 0),
        memory_gib=float(item.get("memory") or 0),
        gpus=_whole(item.get("nvidia_gpu")) or 0,
        resource_profile_id=profile,
        resource_group_id=_whole(item.get("resource_group_id")),
        schedule=str(item.get("schedule") or ""),
        timezone=str(item.get("timezone") or ""),
        timeout_seconds=_whole(item.get("timeout")) or 0,
        runtime_identifier=str(item.get("runtime_identifier") or ""),
        runtime_addons=tuple(item.get("runtime_addon_identifiers") or ()),
        environment=as_map(item.get("environment")),
    )


def _whole(value: Any) -> int | None:
    return int(value) if value not in {None, "", 0, "0"} else None
