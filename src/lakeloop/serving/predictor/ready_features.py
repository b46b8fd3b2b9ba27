"""Ready features: what a transformer asks its predictor, and what it is answered.

Pure. It is an inference request of the Open Inference Protocol with binary tensors: `features`, FP32 of shape [rows,
features] in the booster's order, and `request`, BYTES of shape [1]: what the caller sent, which the predictor logs.
Parameters name the features' definitions and the model: a predictor of another one refuses.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

import orjson

from lakeloop.domain.rollout import Identity
from lakeloop.serving.http import MAX_BODY_BYTES, Refused
from lakeloop.serving.prediction_log.rows import inputs_of
from lakeloop.serving.predictor.batching import Form, Scored, Sent
from lakeloop.serving.predictor.binary_tensors import SIZE, binary_size
from lakeloop.serving.predictor.protocols import Explanation, v2_answer
from lakeloop.serving.rows import InvalidRequest, check_count, json_value

if TYPE_CHECKING:
    import numpy as np

    from lakeloop.serving.feature_function import FeatureFunction

MAX_BYTES = 2 * MAX_BODY_BYTES
"""Of one such request: a caller's whole body, and as much again for its features."""
NAMED = ("feature_hash", "model_digest")
"""Parameters by which both sides are sure to mean the same."""
_FEATURES, _REQUEST = "features", "request"
_LENGTH = struct.Struct("<I")
_FLOAT_BYTES = 4


@dataclass(slots=True, frozen=True)
class Ready:
    """A request with ready features, read."""

    matrix: np.ndarray[Any, Any]
    sent: Sent
    explained: bool


def request_of(
    identity: Identity, matrix: np.ndarray[Any, Any], sent: Sent, *, explained: bool
) -> tuple[bytes, int]:
    """The request's body, and how many of its bytes are JSON.

    Args:
        identity: of the model that the features are for.
        matrix: float32 [rows, features].
        sent: by the caller; kept as it was sent, but for ids: what was looked up.
        explained: with TreeSHAP, too.

    Raises:
        Refused: 413, it is larger than `MAX_BYTES`.
    """
    said = sent.body if sent.inputs is None else orjson.dumps(sent.inputs)
    raw = [matrix.astype("<f4", copy=False).tobytes(), _LENGTH.pack(len(said)) + said]
    shapes = {_FEATURES: ("FP32", list(matrix.shape)), _REQUEST: ("BYTES", [1])}
    told = {name: getattr(identity, name) for name in NAMED}
    head = orjson.dumps(
        {
            "parameters": {**told, "form": sent.form, "purpose": sent.purpose, "explain": explained},
            "inputs": [
                {"name": name, "datatype": type_, "shape": shape, "parameters": {SIZE: len(part)}}
                for (name, (type_, shape)), part in zip(shapes.items(), raw, strict=True)
            ],
        }
    )
    body = b"".join([head, *raw])
    if len(body) > MAX_BYTES:
        raise Refused(413, f"with its features the request is larger than {MAX_BYTES} bytes; send fewer rows")
    return body, len(head)


def is_ready(request: Mapping[str, Any]) -> bool:
    """Whether a request brings ready features: no other names their definitions."""
    parameters = request.get("parameters")
    return isinstance(parameters, dict) and NAMED[0] in parameters


def read(request: Mapping[str, Any], raw: bytes, model: FeatureFunction) -> Ready:
    """Matrix and the caller's request of a body that `is_ready`.

    Raises:
        Refused: 409, its features are for another model, or of other definitions.
        InvalidRequest: tensors, bytes and rows do not fit together, or the log could not read the caller's request.
    """
    import numpy as np

    parameters: Mapping[str, Any] = request["parameters"]
    _check_same(parameters, model.identity)
    features, said = _parts(request.get("inputs"), raw)
    rows, width = _shape(request["inputs"][0], len(model.encoding.features))
    if len(features) != rows * width * _FLOAT_BYTES:
        raise InvalidRequest(f"{_FEATURES}: FP32 of [{rows}, {width}] are not {len(features)} bytes")
    matrix = np.frombuffer(features, "<f4").reshape(rows, width)
    purpose = "proof" if parameters.get("purpose") == "proof" else ""
    sent = _sent(parameters.get("form"), said, purpose, rows, model.encoding.source_columns)
    return Ready(matrix, sent, parameters.get("explain") is True)


def answer(
    request: Mapping[str, Any], identity: Identity, scored: Scored, explanation: Explanation | None
) -> dict[str, Any]:
    """The v2 answer; explained, with outputs `bias` [rows] and `contribution` [rows, features], too."""
    told = v2_answer(request, identity, scored, ("score", "prediction_id"))
    if explanation is not None:
        rows = [list(row.values()) for row in explanation.contributions]
        for name, shape, values in (
            ("bias", [len(rows)], explanation.bias),
            ("contribution", [len(rows), len(rows[0])], [value for row in rows for value in row]),
        ):
            told["outputs"].append({"name": name, "shape": shape, "datatype": "FP64", "data": values})
    return told


def answered(content: bytes, features: Sequence[str]) -> tuple[Scored, Explanation | None]:
    """What a predictor answered, as `answer` wrote it.

    Args:
        content: JSON.
        features: names, in the booster's order.

    Raises:
        ValueError, KeyError, TypeError: it is no such answer.
    """
    data = {output["name"]: output["data"] for output in orjson.loads(content)["outputs"]}
    scored = Scored(data["score"], data["prediction_id"])
    if "bias" not in data:
        return scored, None
    width, flat = len(features), data["contribution"]
    rows = [dict(zip(features, flat[at : at + width], strict=True)) for at in range(0, len(flat), width)]
    return scored, Explanation(data["bias"], rows)


def _check_same(parameters: Mapping[str, Any], identity: Identity) -> None:
    for name in NAMED:
        if parameters.get(name) != getattr(identity, name):
            raise Refused(
                409,
                f"the features are for {name} {str(parameters.get(name))[:64]}, the model here has "
                f"{getattr(identity, name)}: deploy transformer and predictor together",
            )


def _parts(inputs: Any, raw: bytes) -> tuple[bytes, bytes]:
    tensors = inputs if isinstance(inputs, list) else []
    names = [tensor.get("name") if isinstance(tensor, dict) else None for tensor in tensors]
    sizes = [binary_size(tensor) or 0 for tensor in tensors]
    if names != [_FEATURES, _REQUEST] or sum(sizes) != len(raw):
        raise InvalidRequest(
            f"inputs must be {_FEATURES} and {_REQUEST}, as bytes behind the JSON, of {SIZE} each"
        )
    features, said = raw[: sizes[0]], raw[sizes[0] :]
    if len(said) < _LENGTH.size or _LENGTH.unpack_from(said)[0] != len(said) - _LENGTH.size:
        raise InvalidRequest(f"{_REQUEST}: BYTES stand after their length of 4 bytes")
    return features, said[_LENGTH.size :]


def _shape(tensor: Mapping[str, Any], width: int) -> tuple[int, int]:
    shape = tensor.get("shape")
    if (
        tensor.get("datatype") != "FP32"
        or not isinstance(shape, list)
        or [type(size) for size in shape] != [int, int]
        or shape[1] != width
        or shape[0] < 0
    ):
        raise InvalidRequest(f"{_FEATURES} must be FP32 of shape [rows, {width}]")
    check_count(shape[0], "rows")
    return shape[0], width


def _sent(form: Any, said: bytes, purpose: str, rows: int, columns: Mapping[str, str]) -> Sent:
    """For the log, once it is sure that the log can be read: one row that it cannot take would hold up all."""
    if form not in get_args(Form):
        raise InvalidRequest(f"parameter form must be one of {', '.join(get_args(Form))}")
    inputs = _list(said) if form == "ids" else inputs_of(form, said, columns)
    if len(inputs) != rows:
        raise InvalidRequest(f"{_REQUEST} has {len(inputs)} rows, {_FEATURES} has {rows}")
    return Sent("ids", b"", purpose, inputs) if form == "ids" else Sent(form, said, purpose)


def _list(said: bytes) -> list[Any]:
    inputs = json_value(_REQUEST, said)
    if not isinstance(inputs, list):
        raise InvalidRequest(f"{_REQUEST} must be a list of what was looked up")
    return inputs
