"""The forms in which a prediction is asked for and answered: lakeloop's own, and KServe's v1 and v2.

Pure: JSON values in, JSON values out; what v2 says by gRPC is these values, too (`open_inference/tensors.py`).
V1: github.com/kserve/kserve, docs "V1 Inference Protocol". V2: the Open Inference Protocol,
github.com/kserve/open-inference-protocol.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lakeloop.domain.rollout import Identity
from lakeloop.serving.column_types import base_type
from lakeloop.serving.http import Refused
from lakeloop.serving.predictor.batching import Scored
from lakeloop.serving.predictor.binary_tensors import DATATYPES
from lakeloop.serving.rows import InvalidRequest, check_count, counted

_V2_TYPES = {
    "string": "BYTES",
    "uuid": "BYTES",
    "boolean": "BOOL",
    "int": "INT32",
    "long": "INT64",
    "float": "FP32",
    "double": "FP64",
    "decimal": "FP64",
    "date": "BYTES",
    "timestamp": "BYTES",
    "timestamptz": "BYTES",
}
# The kserve SDK's client sends the model's name in the body, too.
_V2_KEYS = {"id", "inputs", "parameters", "outputs", "model_name"}
_V2_OUTPUTS = {"score": "FP64", "prediction_id": "BYTES"}


@dataclass(slots=True, frozen=True)
class Explanation:
    """TreeSHAP of each row, in log odds: `bias` and the contributions sum to the margin behind the score."""

    bias: list[float]
    contributions: list[dict[str, float]]


def own_answer(identity: Identity, scored: Scored, explanation: Explanation | None = None) -> dict[str, Any]:
    """The answer of `/predict` and `/predictions`."""
    threshold = identity.decision_threshold
    answer = {
        "scores": scored.scores,
        "decisions": [score >= threshold for score in scored.scores],
        "model_version": identity.version,
        "snapshot_id": identity.to_snapshot_id,
        "prediction_ids": scored.prediction_ids,
    }
    if explanation is not None:
        answer["explanations"] = [
            {"bias": bias, "contributions": contributions}
            for bias, contributions in zip(explanation.bias, explanation.contributions, strict=True)
        ]
    return answer


def v1_rows(request: Mapping[str, Any]) -> list[Any]:
    """Rows of `{"instances": [...]}`: each an object, or a list of the values in the columns' order.

    Raises:
        InvalidRequest: other keys, no instances, too many.
    """
    return counted({k: v for k, v in request.items() if k != "parameters"}, "instances")


def v1_answer(identity: Identity, scored: Scored) -> dict[str, Any]:
    """V1's predictions are the scores; what is lakeloop's own stands beside them."""
    return {
        "predictions": scored.scores,
        "model_version": identity.version,
        "snapshot_id": identity.to_snapshot_id,
        "prediction_ids": scored.prediction_ids,
    }


def v2_metadata(identity: Identity, columns: Mapping[str, str]) -> dict[str, Any]:
    """`GET /v2/models/NAME`: one input a column, any number of rows."""
    return {
        "name": identity.model_name,
        "versions": [identity.version],
        "platform": "xgboost",
        "inputs": [
            {"name": name, "datatype": _V2_TYPES[base_type(type_)], "shape": [-1]}
            for name, type_ in columns.items()
        ],
        "outputs": [{"name": name, "datatype": type_, "shape": [-1]} for name, type_ in _V2_OUTPUTS.items()],
    }


def check_model(identity: Identity, name: Any, version: str = "") -> None:
    """Whether a request is for this model; it need not name a version.

    Raises:
        Refused: 404, it is for another one.
    """
    if name != identity.model_name or version not in {"", identity.version}:
        raise Refused(404, f"the model here is {identity.model_name}, version {identity.version}")


def v2_rows(request: Mapping[str, Any], columns: Mapping[str, str]) -> list[dict[str, Any]]:
    """Rows of a v2 request: one tensor a column, of shape [rows] or [rows, 1].

    Raises:
        InvalidRequest: not that form; names the tensor.
    """
    inputs = request.get("inputs")
    if not isinstance(inputs, list) or not inputs or request.keys() - _V2_KEYS:
        raise InvalidRequest(
            'the body must be an inference request: {"inputs": [{name, shape, datatype, data}, ...]}'
        )
    tensors = dict(_v2_tensor(index, tensor, columns) for index, tensor in enumerate(inputs))
    lengths = {len(values) for values in tensors.values()}
    if len(tensors) != len(inputs) or len(lengths) != 1:
        raise InvalidRequest("inputs: one tensor a column is expected, all of one length")
    check_count(lengths.pop(), "rows")
    names = list(tensors)
    return [dict(zip(names, values, strict=True)) for values in zip(*tensors.values(), strict=True)]


def _v2_tensor(index: int, tensor: Any, columns: Mapping[str, str]) -> tuple[str, list[Any]]:
    if not isinstance(tensor, dict) or not {"name", "shape", "datatype", "data"} <= tensor.keys():
        raise InvalidRequest(f"input {index}: must have name, shape, datatype and data")
    name, data, shape = tensor["name"], tensor["data"], tensor["shape"]
    if not isinstance(name, str) or name not in columns:
        raise InvalidRequest(
            f"input {index}: unknown column {str(name)[:64]!r}; expected {', '.join(columns)}"
        )
    if not isinstance(data, list) or shape not in ([len(data)], [len(data), 1]):
        raise InvalidRequest(
            f"input {index}, {name!r}: shape must be [rows] or [rows, 1], data a list of so many"
        )
    if [len(d) if isinstance(d, list) else 0 for d in data[:1]] == [1]:
        data = [d[0] if isinstance(d, list) and len(d) == 1 else d for d in data]
    whole = base_type(columns[name]) in {"int", "long"}
    return name, [int(v) if whole and isinstance(v, float) and v.is_integer() else v for v in data]


def check_datatypes(request: Mapping[str, Any]) -> None:
    """Whether the tensors of a request that `v2_rows` takes are of the protocol's datatypes.

    Apart from it, as the log reads what older servers have taken.

    Raises:
        InvalidRequest: one is not; names the tensor.
    """
    for index, tensor in enumerate(request["inputs"]):
        if tensor["datatype"] not in DATATYPES:
            raise InvalidRequest(f"input {index}: datatype must be one of {', '.join(DATATYPES)}")


def v2_outputs(request: Mapping[str, Any]) -> list[str]:
    """Names of the tensors that the caller asks for; all where it names none.

    Raises:
        InvalidRequest: a name that is none.
    """
    asked = request.get("outputs")
    if asked is None or asked == []:
        return list(_V2_OUTPUTS)
    outputs = asked if isinstance(asked, list) else [None]
    names = [output.get("name") if isinstance(output, dict) else None for output in outputs]
    if not all(isinstance(name, str) and name in _V2_OUTPUTS for name in names):
        raise InvalidRequest(
            f"outputs must be a list of objects whose name is one of {', '.join(_V2_OUTPUTS)}"
        )
    return [name for name in _V2_OUTPUTS if name in names]


def v2_answer(
    request: Mapping[str, Any], identity: Identity, scored: Scored, outputs: Sequence[str]
) -> dict[str, Any]:
    """Scores and prediction ids as tensors, those of `outputs`."""
    data = {"score": scored.scores, "prediction_id": scored.prediction_ids}
    shape = [len(scored.scores)]
    answer: dict[str, Any] = {
        "model_name": identity.model_name,
        "model_version": identity.version,
        "outputs": [
            {"name": name, "shape": shape, "datatype": _V2_OUTPUTS[name], "data": data[name]}
            for name in outputs
        ],
        "parameters": {"snapshot_id": identity.to_snapshot_id},
    }
    if isinstance(request.get("id"), str):
        answer["id"] = request["id"]
    return answer
