"""Model metrics of the workbench (cml.metrics_v1): read and completed from a session or job of the project."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lakeloop.adapters.cai.api import Api
from lakeloop.adapters.cai.calls import NOT_FOUND, CallError
from lakeloop.adapters.cai.models import WorkbenchModel
from lakeloop.domain.drift import Window, changed_windows
from lakeloop.domain.errors import LakeloopError, UserError
from lakeloop.domain.tracked import TrackedPrediction, aggregates, tracked_predictions, truths_by_request
from lakeloop.domain.workbench_models import serving


class CaiPredictionMetrics:
    """PredictionMetrics (lakeloop.ports.prediction_metrics) of an endpoint's models: one, or blue and green."""

    def __init__(self, api: Api, names: Sequence[str]) -> None:
        """Models by name; those that are not there are passed over, as long as one is."""
        self._api, self._names = api, tuple(names)

    def read(self, start_ms: int, end_ms: int) -> tuple[TrackedPrediction, ...]:
        """Predictions of all builds of the models.

        Raises:
            UserError: this is no workbench, or there is no such model.
            LakeloopError: the workbench does not give them.
        """
        found = tracked_predictions(
            record for item in self._items() for record in _read(item, start_ms, end_ms)
        )
        inside = (p for p in found if start_ms <= p.at_ms < end_ms)
        return tuple({p.prediction_id: p for p in inside}.values())

    def tell_truths(self, truths: Mapping[str, bool], start_ms: int, end_ms: int) -> int:
        """Delayed metrics; told again, nothing changes.

        Raises:
            UserError: this is no workbench, or there is no such model.
            LakeloopError: the workbench does not take them.
        """
        changed = truths_by_request(self.read(start_ms, end_ms), truths)
        for request_id, known in changed.items():
            _asked("track_delayed_metrics", {"truths": known}, request_id)
        return len(changed)

    def record_windows(self, windows: Sequence[Window]) -> int:
        """Aggregate metrics of the deployment that answers now.

        Raises:
            UserError: this is no workbench, or there is no such model.
            LakeloopError: nothing is deployed, or the workbench does not take them.
        """
        if not windows:
            return 0
        start, end = min(w.start_ms for w in windows), max(w.end_ms for w in windows)
        records = [record for item in self._items() for record in _read(item, start, end)]
        new = changed_windows(windows, aggregates(records))
        crn = self._deployment_crn() if new else ""
        for window in new:
            span = (window.start_ms, window.end_ms)
            _asked("track_aggregate_metrics", dict(window.metrics), *span, model_deployment_crn=crn)
        return len(new)

    def _items(self) -> list[dict[str, Any]]:
        _metrics()
        items = [WorkbenchModel(self._api, name).find() for name in self._names]
        found = [item for item in items if item is not None]
        if not found:
            names = " or ".join(self._names)
            raise UserError("there is no such model", where=f"model {names}", fix="redeploy it first")
        return found

    def _deployment_crn(self) -> str:
        newest: tuple[str, tuple[str, ...]] | None = None
        for name in self._names:
            model = WorkbenchModel(self._api, name)
            item = model.find()
            live = serving(model.deployments(str(item["id"]))) if item else None
            if item is not None and live is not None and (newest is None or live.created_at > newest[0]):
                path = (self._api.project_id, str(item["id"]), live.build_id, live.deployment_id)
                newest = (live.created_at, path)
        if newest is None:
            raise LakeloopError(
                "nothing is deployed", where=f"model {' or '.join(self._names)}", fix="redeploy it first"
            )
        try:
            return str(self._api.read("get_model_deployment", *newest[1])["crn"])
        except KeyError as error:
            raise CallError("get_model_deployment", "the answer has no crn", NOT_FOUND) from error


def _read(item: Mapping[str, Any], start_ms: int, end_ms: int) -> list[Mapping[str, Any]]:
    span = {"start_timestamp_ms": start_ms, "end_timestamp_ms": end_ms}
    found = _asked("read_metrics", model_crn=item["crn"], **span)
    metrics = found.get("metrics") if isinstance(found, Mapping) else None
    return [record for record in metrics or [] if isinstance(record, Mapping)]


def _asked(function: str, *arguments: Any, **options: Any) -> Any:
    module = _metrics()
    try:
        return getattr(module, function)(*arguments, **options)
    except Exception as error:
        # The platform's package raises what its own HTTP client raises; none of it is documented.
        raise LakeloopError(
            f"cml.metrics_v1.{function} failed: {type(error).__name__}: {error}",
            where="model metrics",
            fix="see whether model metrics are switched on in this workbench, then run again",
        ) from error


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
