"""Tensors of the Open Inference Protocol's gRPC form <-> the values that its REST form has in JSON.

Pure. What is judged afterwards (columns, shapes, types, counts of rows) is judged once for both forms, in
`lakeloop.serving.predictor.protocols` and `lakeloop.serving.rows`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lakeloop.serving.predictor.binary_tensors import NULLS, json_values, raw_values, rows_in
from lakeloop.serving.predictor.open_inference import open_inference_pb2 as messages
from lakeloop.serving.rows import InvalidRequest

_CONTENTS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


def v2_request(asked: Any, columns: Mapping[str, str]) -> dict[str, Any]:
    """A ModelInferRequest as the REST form says the same: `{"inputs": [{name, shape, datatype, data}]}`.

    NaN and the rows named by parameter `nulls` become null.

    Args:
        asked: the message.
        columns: of the model; more tensors than columns are not looked at.

    Raises:
        InvalidRequest: a tensor's contents are not of its datatype and shape; names the tensor.
    """
    raw = asked.raw_input_contents
    if raw and len(raw) != len(asked.inputs):
        raise InvalidRequest(f"raw_input_contents has {len(raw)} entries for {len(asked.inputs)} inputs")
    if len(asked.inputs) > len(columns):
        raise InvalidRequest("inputs: one tensor a column is expected, all of one length")
    inputs = [
        _tensor(index, tensor, raw[index] if raw else None) for index, tensor in enumerate(asked.inputs)
    ]
    request: dict[str, Any] = {"inputs": inputs}
    if asked.id:
        request["id"] = asked.id
    if asked.outputs:
        request["outputs"] = [{"name": output.name} for output in asked.outputs]
    return request


def v2_response(answer: Mapping[str, Any]) -> bytes:
    """The REST form's answer as a serialized ModelInferResponse."""
    told = messages.ModelInferResponse(
        model_name=answer["model_name"],
        model_version=answer["model_version"],
        id=answer.get("id", ""),
        parameters={k: messages.InferParameter(string_param=v) for k, v in answer["parameters"].items()},
    )
    for output in answer["outputs"]:
        values = output["data"]
        if output["datatype"] == "BYTES":
            values = [text.encode() for text in values]
        contents = messages.InferTensorContents(**{_CONTENTS[output["datatype"]]: values})
        told.outputs.add(
            name=output["name"], datatype=output["datatype"], shape=output["shape"], contents=contents
        )
    content: bytes = told.SerializeToString()
    return content


def _tensor(index: int, tensor: Any, raw: bytes | None) -> dict[str, Any]:
    where = f"input {index}, {tensor.name[:64]!r}"
    shape = list(tensor.shape)
    rows = rows_in(where, shape)
    if raw is None:
        values = _typed(where, tensor, rows)
    elif tensor.HasField("contents"):
        raise InvalidRequest(f"{where}: contents must be empty where raw_input_contents is sent")
    else:
        values = raw_values(where, tensor.datatype, raw, rows)
    nulls = tensor.parameters[NULLS].string_param if NULLS in tensor.parameters else None
    data = json_values(where, tensor.datatype, values, nulls)
    return {"name": tensor.name, "shape": shape, "datatype": tensor.datatype, "data": data}


def _typed(where: str, tensor: Any, rows: int) -> list[Any]:
    field = _CONTENTS.get(tensor.datatype)
    if field is None:
        raise InvalidRequest(f"{where}: datatype must be one of {', '.join(_CONTENTS)}")
    values = list(getattr(tensor.contents, field))
    if len(values) != rows:
        raise InvalidRequest(
            f"{where}: {tensor.datatype} of {rows} rows, but {field} has {len(values)} values"
        )
    return values
