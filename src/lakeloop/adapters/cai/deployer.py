"""Strategy `in_place`: one model of the workbench, whose deployment is replaced.

The platform stops the old deployment when it starts the new one, minutes before that answers. So a candidate is
built, and its very artifact is asked the proof's rows in a process here, before the old one goes; the same rows are
asked of the deployed model before the shift counts as done.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lakeloop.adapters.cai.api import Api
from lakeloop.adapters.cai.calls import CallError
from lakeloop.adapters.cai.candidates import Candidates
from lakeloop.adapters.cai.deploying import Deploying, check_secrets
from lakeloop.adapters.cai.gap import GapMeter
from lakeloop.adapters.cai.model_service import ModelService, NotAnsweredError, answer_of, answered_here
from lakeloop.adapters.cai.models import WorkbenchModel
from lakeloop.domain.errors import LakeloopError
from lakeloop.domain.rollout import Candidate, Identity
from lakeloop.domain.workbench import WorkbenchDeployment
from lakeloop.domain.workbench_models import Build, Deployed, newest, serving, to_go_back_to, to_remove
from lakeloop.ports.serving_models import ServingModels

EXPECTED_GAP = "two to six minutes"
SCORE_TOLERANCE = 1e-9
AnswerHere = Callable[[Path, Sequence[dict[str, Any]]], list[dict[str, Any]]]
ProvedRows = tuple[list[dict[str, Any]], list[float]]


class CaiDeployer:
    """Deployer (lakeloop.ports.deployer) of one workbench model an endpoint; its state is the workbench's own."""

    target = "cai"

    def __init__(
        self,
        api: Api,
        spec: WorkbenchDeployment,
        models: ServingModels,
        answer_here: AnswerHere = answered_here,
    ) -> None:
        """Of one workbench.

        Args:
            api: of the workbench.
            spec: `deployment.cai`.
            models: where serving folders become artifacts of runs.
            answer_here: answers rows with a serving folder, on this machine.
        """
        self._api, self._spec, self._answer_here = api, spec, answer_here
        self._service = ModelService(api.where, api.patience)
        self._candidates = Candidates(api, spec, models)
        self._deploying = Deploying(api, spec, self._service)
        self._proved: dict[str, ProvedRows] = {}
        self._remarks: dict[str, tuple[str, ...]] = {}

    def live(self, endpoint: str) -> Identity | None:
        """What answers now, asked of the model itself; None where nothing does.

        Raises:
            CallError: the workbench does not tell whether the model exists.
        """
        model = WorkbenchModel(self._api, endpoint).find()
        if model is None:
            return None
        try:
            return self._service.who(model["access_key"]).identity
        except NotAnsweredError:
            return None

    def start(self, endpoint: str, candidate: Candidate) -> str:
        """Build the candidate, or find it built; its handle. What serves is not touched.

        Raises:
            CallError: the workbench refuses; names call and cause.
            LakeloopError: the model's bytes are not the registered ones, or the build failed.
        """
        check_secrets(self._spec)
        handle = self._candidates.keep(candidate)
        self._candidates.build(WorkbenchModel(self._api, endpoint), endpoint, candidate, handle)
        return handle

    def serves(self, endpoint: str, handle: str) -> bool:
        """Whether the traffic goes to this handle already."""
        live = serving(self._state(endpoint)[2])
        return live is not None and live.handle == handle

    def predict(self, endpoint: str, handle: str, rows: Sequence[dict[str, Any]]) -> list[float]:
        """Scores of the live model where that is the handle's, else of the build's artifact, in a process here.

        Raises:
            LakeloopError: there is no such candidate, or it does not answer.
        """
        folder = self._candidates.folder(handle)
        if folder is None:
            raise LakeloopError("the candidate does not run", where=f"endpoint {endpoint}")
        _, model, deployments = self._state(endpoint)
        live = serving(deployments)
        if model and live is not None and live.handle == handle:
            records = self._service.records(model["access_key"], rows)
        else:
            records = self._answer_here(folder, rows)
        scores: list[float] = answer_of(records)["scores"]
        self._proved[handle] = (list(rows), scores)
        return scores

    def shift(self, endpoint: str, handle: str) -> str:
        """Replace the deployment; the model service's URL, once the new one gives the proved scores.

        Raises:
            CallError: the workbench refuses.
            LakeloopError: there is no such candidate, or what is deployed is not it.
        """
        model, item, deployments = self._state(endpoint)
        build = model.build_of(str(item["id"]), handle) if item else None
        if item is None or build is None:
            raise LakeloopError("the candidate does not run", where=f"endpoint {endpoint}")
        live = serving(deployments)
        if live is not None and live.handle != handle:
            self._replace(endpoint, model, item, build)
        else:
            self._deploying.deploy(model, str(item["id"]), build)
        self._check_serves(endpoint, item, handle)
        return self._service.url

    def ask(self, endpoint: str, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """The live model's answer, in the form of lakeloop's predictor.

        Raises:
            LakeloopError: nothing is deployed, or it does not answer.
        """
        _, item, deployments = self._state(endpoint)
        if item is None or not any(d.active for d in deployments):
            raise LakeloopError("nothing runs", where=f"endpoint {endpoint}", fix="deploy a version")
        return answer_of(self._service.records(item["access_key"], rows))

    def roll_back(self, endpoint: str, handle: str) -> None:
        """Deploy what served before the handle did; a handle that was not deployed last is given up, no more.

        Raises:
            CallError: the workbench refuses.
            LakeloopError: the previous build cannot be deployed.
        """
        self._candidates.forget(handle)
        self._proved.pop(handle, None)
        model, item, deployments = self._state(endpoint)
        last = newest(deployments)
        if item is None or last is None or last.handle != handle:
            return
        model_id = str(item["id"])
        previous = to_go_back_to(deployments, handle)
        if previous is None:
            self._stop_all(model, model_id, deployments)
            return
        self._api.tell(f"deploying build {previous.build_id} again, which served before")
        build = Build(build_id=previous.build_id, handle=previous.handle, status="built", created_at="")
        self._deploying.deploy(model, model_id, build)
        self._deploying.wait_answers(item["access_key"], previous.handle, f"build {previous.build_id}")

    def finish(self, endpoint: str, handle: str) -> None:
        """Stop every other deployment, and remove builds beyond `keep`.

        Raises:
            LakeloopError: the handle is not what is live.
        """
        model, item, deployments = self._state(endpoint)
        live = serving(deployments)
        if item is None or live is None or live.handle != handle:
            raise LakeloopError("another version is live", where=f"endpoint {endpoint}", fix="deploy again")
        model_id = str(item["id"])
        others = [d for d in deployments if d.deployment_id != live.deployment_id]
        self._stop_all(model, model_id, others)
        self._tidy(model, model_id, deployments)

    def stop(self, endpoint: str) -> bool:
        """Stop the deployment; model and builds stay, so that a later start finds them."""
        model, item, deployments = self._state(endpoint)
        active = [d for d in deployments if d.active]
        if item is not None:
            self._stop_all(model, str(item["id"]), active)
        return bool(active)

    def remarks(self, endpoint: str) -> tuple[str, ...]:
        """What the last shift has to tell: the gap that was expected, and the one that was measured."""
        return self._remarks.get(endpoint, ())

    def _state(self, endpoint: str) -> tuple[WorkbenchModel, dict[str, Any] | None, list[Deployed]]:
        model = WorkbenchModel(self._api, endpoint)
        item = model.find()
        return model, item, model.deployments(str(item["id"])) if item else []

    def _replace(self, endpoint: str, model: WorkbenchModel, item: dict[str, Any], build: Build) -> None:
        self._api.tell(f"in place: the endpoint will not answer for {EXPECTED_GAP}")

        def answers() -> bool:
            try:
                self._service.who(item["access_key"])
            except NotAnsweredError:
                return False
            return True

        with GapMeter(answers, self._api.patience.first / 4) as gap:
            self._deploying.deploy(model, str(item["id"]), build)
            self._deploying.wait_answers(item["access_key"], build.handle, f"build {build.build_id}")
        measured = (
            f"in place: {EXPECTED_GAP} without an answer were expected, {gap.seconds:.1f} s were measured"
        )
        self._remarks[endpoint] = (measured,)
        self._api.tell(measured)

    def _check_serves(self, endpoint: str, item: dict[str, Any], handle: str) -> None:
        """The deployed model is the handle's, and gives the scores that it was proved with."""
        self._deploying.wait_answers(item["access_key"], handle, f"model {endpoint}")
        if handle not in self._proved:
            return
        rows, scores = self._proved[handle]
        self._api.tell(f"asking the deployed model the {len(rows)} rows of the proof")
        served = answer_of(self._service.records(item["access_key"], rows))["scores"]
        worst = max((abs(a - b) for a, b in zip(scores, served, strict=True)), default=0.0)
        if not worst <= SCORE_TOLERANCE:
            raise LakeloopError(
                f"the deployed model's scores differ by {worst:.3g} from those of the same artifact here",
                where=f"endpoint {endpoint}",
                fix="the runtime's libraries are others than the training's: see deployment.cai.runtime",
            )

    def _tidy(self, model: WorkbenchModel, model_id: str, deployments: Sequence[Deployed]) -> None:
        """Remove builds beyond `keep`. One that cannot be removed is told of: the version is live all the same."""
        for build_id in to_remove(model.builds(model_id), deployments, self._spec.keep):
            self._api.tell(f"removing build {build_id}, beyond the {self._spec.keep} that are kept")
            try:
                model.remove_build(model_id, build_id)
            except CallError as error:
                self._api.tell(f"warning: build {build_id} stays until the next rollout: {error}")

    def _stop_all(self, model: WorkbenchModel, model_id: str, deployments: Sequence[Deployed]) -> None:
        for deployment in deployments:
            if deployment.active:
                model.stop(model_id, deployment)
