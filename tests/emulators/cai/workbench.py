"""One workbench with one project: its models, builds, deployments, registry and jobs, and what calls do to them."""

from __future__ import annotations

import secrets
import threading
import uuid
from collections import deque
from pathlib import Path
from typing import Any

from tests.emulators.cai import images
from tests.emulators.cai.clock import Clock
from tests.emulators.cai.errors import ApiError
from tests.emulators.cai.replicas import Replicas
from tests.emulators.cai.states import Durations, build_status, deployment_status, version_status
from tests.emulators.cai.worker import InProcess

Item = dict[str, Any]
USER = {"username": "paul", "name": "Paul", "email": "paul@example.com"}
BUSY_SECONDS = 30.0
RUNTIMES = (
    ("PBJ Workbench", "Python 3.9", "Standard", "2024.02.1-b4", "ENABLED"),
    ("PBJ Workbench", "Python 3.11", "Standard", "2025.01.1-b6", "ENABLED"),
    ("PBJ Workbench", "Python 3.11", "Nvidia GPU", "2025.01.1-b6", "ENABLED"),
    ("PBJ Workbench", "Python 3.11", "Standard", "2026.05.1-b2", "ENABLED"),
    ("PBJ Workbench", "Python 3.11", "Standard", "2026.06.1-b1", "DISABLED"),
    ("JupyterLab", "Python 3.11", "Standard", "2026.05.1-b2", "ENABLED"),
    ("PBJ Workbench", "R 4.4", "Standard", "2026.05.1-b2", "ENABLED"),
    *(("JupyterLab", f"Python 3.{minor}", "Standard", "2024.02.1-b4", "ENABLED") for minor in range(7, 14)),
)


def no_artifacts(experiment_id: str, run_id: str, model_path: str) -> Path:
    """A workbench without experiments."""
    raise LookupError(f"run {run_id} of experiment {experiment_id} has no artifact {model_path}")


class Workbench:
    """State and effects; one lock, no threads of its own but those of replicas and jobs."""

    def __init__(  # noqa: PLR0913 - a test's knobs
        self,
        folder: Path,
        *,
        speed: float = 600.0,
        artifacts: images.Artifacts = no_artifacts,
        durations: Durations | None = None,
        worker: type = InProcess,
        keeps_notes: bool = True,
        busy_seconds: float | None = None,
    ) -> None:
        self.folder, self.clock, self.artifacts = folder, Clock(speed), artifacts
        self.durations, self._worker = durations or Durations(), worker
        self.keeps_notes = keeps_notes
        # Not below five seconds, however fast the clock: models here are as fast as in the world.
        self.busy_seconds = busy_seconds or max(self.clock.real(BUSY_SECONDS), 5.0)
        self.project_id, self.project_folder = "aaaa-bbbb-cccc-dddd", folder / "project"
        self.project_folder.mkdir(parents=True, exist_ok=True)
        self.api_key, self.application_key = f"v2.{secrets.token_hex(16)}", f"app.{secrets.token_hex(16)}"
        self.fates: dict[str, deque[str]] = {}
        self.models: dict[str, Item] = {}
        self.builds: dict[str, Item] = {}
        self.deployments: dict[str, Item] = {}
        self.registered: dict[str, Item] = {}
        self.versions: dict[str, Item] = {}
        self.replicas: dict[str, Replicas] = {}
        self.lock = threading.RLock()
        self.deleted: list[str] = []

    def destine(self, kind: str, *fates: str) -> None:
        """What becomes of the next builds, deployments or versions: `destine("build", "build failed")`."""
        self.fates.setdefault(kind, deque()).extend(fates)

    def _fate(self, kind: str) -> str:
        waiting = self.fates.get(kind)
        return waiting.popleft() if waiting else ""

    def _age(self, item: Item) -> float:
        return self.clock.now() - float(item["_at"])

    def _made(self, kind: str, fields: Item) -> Item:
        stamp = self.clock.stamp(self.clock.now())
        id_ = str(uuid.uuid4())
        return {
            "id": id_,
            "crn": f"crn:cdp:ml:us-west-1:emulator:workspace:w/{kind}:{id_}",
            "created_at": stamp,
            "updated_at": stamp,
            "_at": self.clock.now(),
            "_fate": self._fate(kind),
            **fields,
        }

    def check_project(self, project_id: str) -> None:
        """The project is this workbench's only one.

        Raises:
            ApiError: 404.
        """
        if project_id != self.project_id:
            raise ApiError(404, f"project {project_id} not found")

    def project(self) -> Item:
        """The project."""
        return {
            "id": self.project_id,
            "name": "lakeloop",
            "creation_status": "success",
            "created_at": self.clock.stamp(0),
            "owner": USER,
            "creator": USER,
        }

    @staticmethod
    def runtimes() -> list[Item]:
        """Some runtimes; the newest that fits is disabled, and they fill more than one page."""
        return [
            {
                "id": f"{n}",
                "image_identifier": f"repository/cdsw/ml-runtime-{editor}-{kernel}-{edition}:{version}".lower().replace(
                    " ", ""
                ),
                "editor": editor,
                "kernel": kernel,
                "edition": edition,
                "full_version": version,
                "description": f"{editor}, {kernel}, {edition}",
                "status": status,
            }
            for n, (editor, kernel, edition, version, status) in enumerate(RUNTIMES)
        ]

    # -- registry

    def register(self, body: Item) -> Item:
        """A new version of a registered model, which is made where there is none."""
        registered = {key: body.get(key, "") for key in ("experiment_id", "run_id", "model_path")}
        try:
            self.artifacts(**registered)
        except LookupError as error:
            raise ApiError(400, str(error)) from error
        name = body["model_name"]
        model = next((m for m in self.registered.values() if m["name"] == name), None)
        if model is None:
            made = self._made("registered model", {"name": name, "description": body.get("description", "")})
            model = {**made, "model_id": made.pop("id"), "owner": USER, "visibility": "PRIVATE", "_last": 0}
            model.pop("id", None)
            self.registered[model["model_id"]] = model
        model["_last"] += 1
        made = self._made("version", {"number": model["_last"], "_registered": registered})
        version = {
            **made,
            "model_id": model["model_id"],
            "model_version_id": made["id"],
            "notes": body.get("notes", "") if self.keeps_notes else "",
            "user": USER,
        }
        version.pop("id")
        self.versions[version["model_version_id"]] = version
        return self.registered_model(model["model_id"])

    def registered_model(self, model_id: str) -> Item:
        """With all its versions (the caller pages them)."""
        model = self._get(self.registered, model_id, "registered model")
        versions = [
            self.version(v["model_version_id"]) for v in self.versions.values() if v["model_id"] == model_id
        ]
        return {**model, "count": len(versions), "model_versions": versions}

    def version(self, version_id: str) -> Item:
        """As it is now."""
        version = self._get(self.versions, version_id, "model version")
        status = version_status(version["_fate"], self._age(version), self.durations)
        message = "the registry could not import the model" if status == "failed" else ""
        registered = version["_registered"]
        metadata = {k: registered[k] for k in ("experiment_id", "run_id")}
        return {
            **version,
            "status": status,
            "error_message": message,
            "model_version_metadata": {"mlflow_metadata": metadata},
        }

    # -- models

    def create_model(self, body: Item) -> Item:
        """A model with an access key of its own."""
        if any(m["name"] == body.get("name") for m in self.models.values()):
            raise ApiError(500, "Failed to create model")
        fields = {
            "name": body["name"],
            "description": body.get("description", ""),
            "creator": USER,
            "access_key": f"m{secrets.token_hex(16)}",
            "auth_enabled": not body.get("disable_authentication", False),
            "registered_model_id": body.get("registered_model_id", ""),
            "visibility": body.get("visibility", "private"),
            "project": {"id": self.project_id, "name": "lakeloop"},
            "deletion_status": "",
        }
        model = self._made("model", fields)
        self.models[model["id"]] = model
        return model

    def model(self, model_id: str) -> Item:
        """One model."""
        return self._get(self.models, model_id, "model")

    def delete_model(self, model_id: str) -> Item:
        """With its builds and deployments."""
        self.model(model_id)
        for build in [b for b in self.builds.values() if b["model_id"] == model_id]:
            self._forget_build(build["id"])
        del self.models[model_id]
        return {}

    # -- builds

    def create_build(self, model_id: str, body: Item) -> Item:
        """An image of the artifact as it is now."""
        self.model(model_id)
        if not any(r["image_identifier"] == body.get("runtime_identifier") for r in self.runtimes()):
            raise ApiError(400, f"runtime {body.get('runtime_identifier')!r} not found")
        fields = {key: value for key, value in body.items() if key not in {"project_id", "model_id"}}
        build = self._made("build", {**fields, "model_id": model_id, "creator": USER, "deletion_status": ""})
        image = self.folder / "images" / build["id"]
        image.parent.mkdir(exist_ok=True)
        try:
            version = body.get("registered_model_version_id")
            if version:
                images.from_registry(
                    self.artifacts, self._get(self.versions, version, "version")["_registered"], image
                )
            else:
                images.from_project(self.project_folder, body, image)
        except LookupError as error:
            raise ApiError(400, str(error)) from error
        self.builds[build["id"]] = build
        return self.build(model_id, build["id"])

    def build(self, model_id: str, build_id: str) -> Item:
        """As it is now."""
        build = self._get(self.builds, build_id, "build")
        if build["model_id"] != model_id:
            raise ApiError(404, f"build {build_id} not found")
        return {**build, "status": build_status(build["_fate"], self._age(build), self.durations)}

    def builds_of(self, model_id: str) -> list[Item]:
        """All of a model."""
        self.model(model_id)
        return [self.build(model_id, b["id"]) for b in self.builds.values() if b["model_id"] == model_id]

    def delete_build(self, model_id: str, build_id: str) -> Item:
        """Unless it serves."""
        self.build(model_id, build_id)
        serving = [
            d for d in self.deployments_of(build_id) if d["status"] in {"pending", "deploying", "deployed"}
        ]
        if serving:
            raise ApiError(400, "cannot delete a build with an active deployment")
        self._forget_build(build_id)
        return {}

    def _forget_build(self, build_id: str) -> None:
        for deployment in [d for d in self.deployments.values() if d["build_id"] == build_id]:
            self._stop(deployment)
            del self.deployments[deployment["id"]]
        del self.builds[build_id]
        self.deleted.append(build_id)

    # -- deployments

    def create_deployment(self, model_id: str, build_id: str, body: Item) -> Item:
        """The model's other deployments stop at once, this one answers minutes later."""
        build = self.build(model_id, build_id)
        if build["status"] not in {"built", "succeeded"}:
            raise ApiError(400, f"build {build_id} is not built: {build['status']}")
        for other in [d for d in self.deployments.values() if d["model_id"] == model_id]:
            self._stop(other)
        fields = {
            "project_id": self.project_id,
            "model_id": model_id,
            "build_id": build_id,
            "cpu": float(body.get("cpu", 1)),
            "memory": float(body.get("memory", 2)),
            "nvidia_gpu": int(body.get("nvidia_gpus", 0)),
            "environment": body.get("environment", {}),
            "replicas": int(body.get("replicas", 1)),
            "deployer": USER,
            "accelerator_label_id": "0",
        }
        deployment = self._made("deployment", {**fields, "_stopped": None, "_request": body})
        self.deployments[deployment["id"]] = deployment
        worker = self._worker(self.folder / "images" / build_id, dict(body.get("environment") or {}))
        self.replicas[deployment["id"]] = Replicas(worker, deployment["replicas"], self.busy_seconds)
        self.replicas[deployment["id"]].start()
        return self.deployment(build_id, deployment["id"])

    def deployment(self, build_id: str, deployment_id: str) -> Item:
        """As it is now."""
        item = self._get(self.deployments, deployment_id, "deployment")
        if item["build_id"] != build_id:
            raise ApiError(404, f"deployment {deployment_id} not found")
        return {**item, "status": self._status(item)}

    def _status(self, item: Item) -> str:
        if item["_stopped"] is not None:
            return "stopping" if self.clock.now() - item["_stopped"] < 2 else "stopped"
        status = deployment_status(item["_fate"], self._age(item), self.durations)
        if status != "deployed":
            return status
        replicas = self.replicas[item["id"]]
        return "failed" if replicas.error else "deployed" if replicas.ready else "deploying"

    def deployments_of(self, build_id: str) -> list[Item]:
        """All of a build."""
        return [
            self.deployment(build_id, d["id"]) for d in self.deployments.values() if d["build_id"] == build_id
        ]

    def stop_deployment(self, build_id: str, deployment_id: str) -> Item:
        """At once."""
        self.deployment(build_id, deployment_id)
        self._stop(self.deployments[deployment_id])
        return self.deployment(build_id, deployment_id)

    def restart_deployment(self, build_id: str, deployment_id: str) -> Item:
        """As if it were made now."""
        item = self.deployment(build_id, deployment_id)
        body = self.deployments[deployment_id]["_request"]
        del self.deployments[deployment_id]
        made = self.create_deployment(item["model_id"], build_id, body)
        renamed = self.deployments.pop(made["id"])
        self.deployments[deployment_id] = {**renamed, "id": deployment_id}
        self.replicas[deployment_id] = self.replicas.pop(made["id"])
        return self.deployment(build_id, deployment_id)

    def _stop(self, item: Item) -> None:
        if item["_stopped"] is None:
            item["_stopped"] = self.clock.now()
            item["stopped_at"] = self.clock.stamp(self.clock.now())
            if item["id"] in self.replicas:
                self.replicas.pop(item["id"]).stop()

    def serving(self, access_key: str) -> tuple[Item, Item] | None:
        """Model and deployed deployment behind an access key."""
        model = next((m for m in self.models.values() if m["access_key"] == access_key), None)
        if model is None:
            return None
        found = [d for d in self.deployments.values() if d["model_id"] == model["id"]]
        live = [d for d in found if self._status(d) == "deployed"]
        return (model, live[-1]) if live else None

    def close(self) -> None:
        """Stop what runs."""
        with self.lock:
            for item in list(self.deployments.values()):
                self._stop(item)

    def _get(self, items: dict[str, Item], id_: str, what: str) -> Item:
        if id_ not in items:
            raise ApiError(404, f"{what} {id_} not found")
        return items[id_]
