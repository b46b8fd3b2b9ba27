"""Model metrics of the workbench (cml.metrics_v1): read and completed from a session or job of the project."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lakeloop.adapters.cai.api import Api
from lakeloop.adapters.cai.calls import NOT_FOUND, CallError
from lakeloop.adapters.cai.models import WorkbenchModel
from lakeloop.domain.errors import LakeloopError, UserError
from lakeloop.domain.tracked import TrackedPrediction, tracked_predictions, truths_by_request
from lakeloop.domain.workbench_models import serving


class CaiPredictionMetrics:
    """PredictionMetrics (lakeloop.ports.prediction_metrics) of one workbench model."""

    def __init__(self, api: Api, model_name: str) -> None:
        self._api, self._name = api, model_name

    def read(self, start_ms: int, end_ms: int) -> tuple[TrackedPrediction, ...]:
        """Predictions of all builds of the model.

        Raises:
            UserError: this is no workbench, or there is no such model.
        """
        found = _metrics().read_metrics(
            model_crn=self._item()["crn"], start_timestamp_ms=start_ms, end_timestamp_ms=end_ms
        )
        return tracked_predictions(found.get("metrics") or [])

    def tell_truths(self, truths: Mapping[str, bool], start_ms: int, end_ms: int) -> int:
        """Delayed metrics; told again, nothing changes.

        Raises:
            UserError: this is no workbench, or there is no such model.
        """
        changed = truths_by_request(self.read(start_ms, end_ms), truths)
        for request_id, known in changed.items():
            _metrics().track_delayed_metrics({"truths": known}, request_id)
        return len(changed)

    def record_window(self, metrics: Mapping[str, float], start_ms: int, end_ms: int) -> None:
        """Aggregate metrics of the deployment that answers now.

        Raises:
            UserError: this is no workbench, or there is no such model.
            LakeloopError: nothing is deployed.
        """
        crn = self._deployment_crn()
        _metrics().track_aggregate_metrics(dict(metrics), start_ms, end_ms, model_deployment_crn=crn)

    def _item(self) -> dict[str, Any]:
        item = WorkbenchModel(self._api, self._name).find()
        if item is None:
            raise UserError("there is no such model", where=f"model {self._name}", fix="redeploy it first")
        return item

    def _deployment_crn(self) -> str:
        model, item = WorkbenchModel(self._api, self._name), self._item()
        live = serving(model.deployments(str(item["id"])))
        if live is None:
            raise LakeloopError("nothing is deployed", where=f"model {self._name}", fix="redeploy it first")
        path = (self._api.project_id, str(item["id"]), live.build_id, live.deployment_id)
        try:
            return str(self._api.read("get_model_deployment", *path)["crn"])
        except KeyError as error:
            raise CallError("get_model_deployment", "the answer has no crn", NOT_FOUND) from error


def _metrics() -> Any:
    try:
        from cml import metrics_v1
    except ImportError as error:
        raise UserError(
            "cml.metrics_v1 is not here: model metrics exist only inside a Cloudera AI workbench",
            where="model metrics",
            fix="run it in a session or job of the project",
        ) from error
    return metrics_v1
