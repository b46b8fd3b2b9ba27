"""One model of the workbench by its exact name: its builds and deployments, found before they are made."""

from __future__ import annotations

from typing import Any

from lakeloop.adapters.cai.api import Api, Item, search
from lakeloop.adapters.cai.calls import NOT_FOUND, CallError
from lakeloop.domain.errors import LakeloopError
from lakeloop.domain.workbench_models import (
    Build,
    Deployed,
    build_phase,
    deployment_phase,
    handle_in,
    in_order,
    known_status,
    normalised,
)


class WorkbenchModel:
    """Reads and effects; every effect looks first. What a model's state means is decided in the domain."""

    def __init__(self, api: Api, name: str) -> None:
        self._api, self.name = api, name

    def find(self) -> Item | None:
        """The model; the oldest, should there be several of this name."""
        listed = self._api.pages(
            "list_models", "models", self._api.project_id, search_filter=search(name=self.name)
        )
        same = [m for m in listed if m.get("name") == self.name and not m.get("deletion_status")]
        return min(same, key=lambda m: in_order(m.get("created_at")), default=None)

    def ensure(self, registered_model_id: str | None) -> Item:
        """The model, made where there is none, with authentication on."""
        found = self.find()
        if found is not None:
            return found
        self._api.tell(f"making model {self.name}")
        fields = {
            "project_id": self._api.project_id,
            "name": self.name,
            "description": "Made by lakeloop; its builds name the version that they hold.",
            "disable_authentication": False,
            "registered_model_id": registered_model_id,
        }
        return self._api.create(
            "create_model", "CreateModelRequest", fields, self._api.project_id, look=self.find
        )

    def builds(self, model_id: str) -> list[Build]:
        """All builds."""
        listed = self._api.pages("list_model_builds", "model_builds", self._api.project_id, model_id)
        return [
            Build(
                build_id=str(b["id"]),
                handle=handle_in(b.get("comment")),
                status=str(b.get("status") or ""),
                created_at=in_order(b.get("created_at")),
            )
            for b in listed
            if b.get("id") and not b.get("deletion_status")
        ]

    def build_of(self, model_id: str, handle: str) -> Build | None:
        """The newest build of a handle that did not fail."""
        same = [b for b in self.builds(model_id) if b.handle == handle and build_phase(b.status) != "bad"]
        return max(same, key=lambda b: b.created_at, default=None)

    def deployments(self, model_id: str, builds: list[Build] | None = None) -> list[Deployed]:
        """All deployments of all builds."""
        known = self.builds(model_id) if builds is None else builds
        return [d for build in known for d in self.deployments_of(model_id, build)]

    def deployments_of(self, model_id: str, build: Build) -> list[Deployed]:
        """Of one build, oldest first; the API itself lists them in no order."""
        try:
            listed = self._api.pages(
                "list_model_deployments",
                "model_deployments",
                self._api.project_id,
                model_id,
                build.build_id,
            )
        except CallError as error:
            if error.status != NOT_FOUND:
                raise
            return []
        found = [
            Deployed(
                build_id=build.build_id,
                deployment_id=str(d["id"]),
                handle=build.handle,
                status=str(d.get("status") or ""),
                created_at=in_order(d.get("created_at")),
            )
            for d in listed
            if d.get("id")
        ]
        return sorted(found, key=lambda d: d.created_at)

    def make_build(self, model_id: str, handle: str, fields: Item) -> str:
        """Id of a new build."""

        def look() -> Item | None:
            found = self.build_of(model_id, handle)
            return {"id": found.build_id} if found else None

        body = {"project_id": self._api.project_id, "model_id": model_id, **fields}
        made = self._api.create(
            "create_model_build", "CreateModelBuildRequest", body, self._api.project_id, model_id, look=look
        )
        return str(made["id"])

    def wait_built(self, model_id: str, build_id: str, limit_seconds: float) -> None:
        """Until the build is built.

        Raises:
            LakeloopError: it failed, or is not built in time.
        """
        path = (self._api.project_id, model_id, build_id)
        self._wait(
            "get_model_build", path, build_phase, limit_seconds, f"build {build_id} of model {self.name}"
        )

    def deploy(self, model_id: str, build: Build, fields: Item) -> str:
        """Id of the build's active deployment, made where it has none."""

        def look() -> Item | None:
            active = [d for d in self.deployments_of(model_id, build) if d.active]
            return {"id": active[-1].deployment_id} if active else None

        found = look()
        if found is not None:
            return str(found["id"])
        project = self._api.project_id
        body = {"project_id": project, "model_id": model_id, "build_id": build.build_id, **fields}
        made = self._api.create(
            "create_model_deployment",
            "CreateModelDeploymentRequest",
            body,
            project,
            model_id,
            build.build_id,
            look=look,
        )
        return str(made["id"])

    def wait_deployed(self, model_id: str, build_id: str, deployment_id: str, limit_seconds: float) -> None:
        """Until the deployment is deployed.

        Raises:
            LakeloopError: it failed or was stopped, or is not deployed in time.
        """
        path = (self._api.project_id, model_id, build_id, deployment_id)
        what = f"deployment {deployment_id} of model {self.name}"
        self._wait("get_model_deployment", path, deployment_phase, limit_seconds, what)

    def _wait(self, method: str, path: tuple[str, ...], phase: Any, limit_seconds: float, what: str) -> None:
        status = ""
        for seconds in self._api.patience.looks(limit_seconds):
            said = str(self._api.read_object(method, *path).get("status") or "")
            if said != status:
                note = "" if known_status(said) else " (a status that nobody has told of; waiting on)"
                self._api.tell(f"{what}: {normalised(said)}{note}, {seconds:.0f} s")
            status, now = said, phase(said)
            if now == "good":
                return
            if now == "bad":
                raise LakeloopError(
                    f"{what} ended as {said!r}", where="Cloudera AI", fix="see its log in the workbench"
                )
        raise LakeloopError(
            f"{what} is still {status!r} after {limit_seconds:g} s",
            where="Cloudera AI",
            fix="see its log in the workbench; raise the time limit under deployment.cai if it only is slow",
        )

    def stop(self, model_id: str, deployment: Deployed) -> None:
        """Stop a deployment, and wait until it is."""
        path = (self._api.project_id, model_id, deployment.build_id, deployment.deployment_id)

        def stopped() -> bool:
            try:
                status = self._api.read("get_model_deployment", *path).get("status")
            except CallError as error:
                if error.status != NOT_FOUND:
                    raise
                return True
            return normalised(status) in {"stopped", "stopping", "failed"}

        self._api.change("stop_model_deployment", *path, done=stopped)

    def remove_build(self, model_id: str, build_id: str) -> None:
        """Remove a build."""

        def gone() -> bool:
            return all(b.build_id != build_id for b in self.builds(model_id))

        self._api.change("delete_model_build", self._api.project_id, model_id, build_id, done=gone)
