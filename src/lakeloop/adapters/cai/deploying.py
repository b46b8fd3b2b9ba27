"""A built build gets to answer: its deployment, and the proof that it is this version which answers."""

from __future__ import annotations

import os
from typing import Any

from lakeloop.adapters.cai.api import Api, Item
from lakeloop.adapters.cai.model_service import Answers, ModelService, NotAnsweredError
from lakeloop.adapters.cai.models import WorkbenchModel
from lakeloop.domain.errors import LakeloopError, UserError
from lakeloop.domain.workbench import WorkbenchDeployment
from lakeloop.domain.workbench_models import Build


def check_secrets(spec: WorkbenchDeployment) -> None:
    """Every variable that `deployment.cai.secrets` names is set.

    Raises:
        UserError: one is not.
    """
    missing = sorted({variable for variable in spec.secrets.values() if variable not in os.environ})
    if missing:
        raise UserError(
            f"not set: {', '.join(missing)}",
            where="deployment.cai.secrets",
            fix="set them where the redeploy runs, e.g. as the project's environment variables",
        )


def deployment_fields(spec: WorkbenchDeployment) -> Item:
    """Resources, environment and secrets of a deployment, as the API has them."""
    resources = spec.resources
    sized: Item = {"resource_group_id": resources.resource_group_id}
    if resources.resource_profile_id is not None:
        sized["resource_profile_id"] = resources.resource_profile_id
    else:
        sized |= {"cpu": resources.cpu, "memory": resources.memory_gib}
    secrets: dict[str, Any] = {name: os.environ[variable] for name, variable in spec.secrets.items()}
    return {
        **sized,
        "nvidia_gpus": resources.gpus or None,
        "replicas": spec.replicas,
        "environment": dict(spec.environment),
        "deployment_secrets": secrets or None,
    }


class Deploying:
    """Deploys builds of one endpoint's models."""

    def __init__(self, api: Api, spec: WorkbenchDeployment, service: ModelService) -> None:
        self._api, self._spec, self._service = api, spec, service

    def deploy(self, model: WorkbenchModel, model_id: str, build: Build) -> None:
        """Until the build's deployment is deployed.

        Raises:
            CallError: the workbench refuses.
            LakeloopError: it failed, or not in time.
        """
        deployment_id = model.deploy(model_id, build, deployment_fields(self._spec))
        model.wait_deployed(model_id, build.build_id, deployment_id, self._spec.deploy_timeout_seconds)

    def wait_answers(self, access_key: str, handle: str, what: str) -> Answers:
        """Until the model service answers with this handle's identity; right after a deployment it may not yet.

        Raises:
            LakeloopError: it does not, within the look-up time.
        """
        problem = "nothing answers"
        for _ in self._api.patience.looks(self._api.patience.long_look):
            try:
                said = self._service.who(access_key)
            except NotAnsweredError as error:
                problem = error.problem
                continue
            if said.handle == handle:
                return said
            problem = f"version {said.identity.version} answers"
        raise LakeloopError(
            f"{what} is deployed, but {problem} after {self._api.patience.long_look:g} s",
            where=self._service.url,
            fix="see the replica's log in the workbench",
        )
