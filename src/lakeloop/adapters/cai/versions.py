"""Registered versions: one for each serving folder, found by its note before it is made."""

from __future__ import annotations

from lakeloop.adapters.cai.api import Api, Item, search
from lakeloop.domain.errors import LakeloopError
from lakeloop.domain.workbench_models import handle_in, in_order, known_status, marked, version_phase
from lakeloop.ports.serving_models import RunArtifact


class Versions:
    """Versions of one registered model of the AI Registry."""

    def __init__(self, api: Api, name: str) -> None:
        self._api, self._name = api, name

    def ensure(self, handle: str, artifact: RunArtifact, limit_seconds: float) -> tuple[str, str]:
        """Registered model id and version id of the artifact, once the registry has it.

        Raises:
            CallError: the workbench refuses.
            LakeloopError: the registry could not import it, or not in time.
        """
        version = self._find(handle) or self._register(handle, artifact)
        self._wait(version, limit_seconds)
        return str(version["model_id"]), str(version["model_version_id"])

    def _model_id(self) -> str | None:
        listed = self._api.pages(
            "list_registered_models", "models", search_filter=search(model_name=self._name)
        )
        same = sorted(
            (m for m in listed if m.get("name") == self._name), key=lambda m: in_order(m.get("created_at"))
        )
        return str(same[0]["model_id"]) if same else None

    def _versions(self) -> list[Item]:
        model_id = self._model_id()
        if model_id is None:
            return []
        found = self._api.pages("get_registered_model", "model_versions", model_id, sort="-created_at")
        return [{"model_id": model_id, **version} for version in found]

    def _find(self, handle: str) -> Item | None:
        """The newest version of this handle that did not fail."""
        same = [v for v in self._versions() if handle_in(str(v.get("notes") or "")) == handle]
        good = [
            v for v in same if version_phase(str(v.get("status")), str(v.get("error_message") or "")) != "bad"
        ]
        return max(good, key=_number, default=None)

    def _register(self, handle: str, artifact: RunArtifact) -> Item:
        before = {v["model_version_id"] for v in self._versions()}
        fields = {
            "project_id": self._api.project_id,
            "experiment_id": artifact.experiment_id,
            "run_id": artifact.run_id,
            "model_path": artifact.path,
            "model_name": self._name,
            "notes": marked(handle),
        }
        self._api.create(
            "create_registered_model",
            "CreateRegisteredModelRequest",
            fields,
            look=lambda: self._new(handle, before),
            key="model_id",
        )
        for _ in self._api.patience.looks(self._api.patience.look):
            found = self._new(handle, before)
            if found is not None:
                return found
        raise LakeloopError(
            "the registry took the model but shows no new version", where=self._name, fix="run again"
        )

    def _new(self, handle: str, before: set[str]) -> Item | None:
        """The version that was made since, one that failed at once included.

        A registry may not keep the note of a version.
        """
        since = [v for v in self._versions() if v["model_version_id"] not in before]
        ours = [v for v in since if not v.get("notes") or handle_in(str(v["notes"])) == handle]
        return max(ours, key=_number, default=None)

    def _wait(self, version: Item, limit_seconds: float) -> None:
        status = ""
        for _ in self._api.patience.looks(limit_seconds):
            item = self._api.read(
                "get_registered_model_version", version["model_id"], version["model_version_id"]
            )
            said, problem = str(item.get("status") or ""), str(item.get("error_message") or "")
            phase = version_phase(said, problem)
            if phase == "bad":
                raise LakeloopError(
                    f"the registry could not take version {version.get('number')}: {problem or said}",
                    where=f"registered model {self._name}",
                    fix="see the model in AI Registry, then run again",
                )
            if phase == "good":
                return
            if said != status and not known_status(said):
                self._api.tell(f"a status that nobody has told of: {said!r}; waiting on")
            status = said
        raise LakeloopError(
            f"the registry did not take version {version.get('number')} within {limit_seconds:g} s "
            f"(status {status!r})",
            where=f"registered model {self._name}",
            fix="run again: it is found and waited for; or raise deployment.cai.build_timeout_seconds",
        )


def _number(version: Item) -> int:
    return int(version.get("number") or 0)
