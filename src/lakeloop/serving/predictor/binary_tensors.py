"""Tensors as bytes: raw elements, and the REST form's extension that sends them behind the JSON.

Pure. The extension is "binary tensor data" of Triton's and KServe's servers: header `Inference-Header-Content-Length`
says how long the JSON is, and parameter `binary_data_size` how many of the bytes behind it are a tensor's.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from typing import Any

import orjson

from lakeloop.serving.rows import InvalidRequest, check_count, parse_json

EXTENSION = "binary_tensor_data"
HEADER = b"inference-header-content-length"
SIZE = "binary_data_size"
NULLS = "nulls"
"""Parameter of a tensor: a JSON list of the rows whose value is unknown. Bytes have no null of their own."""

_ELEMENTS = {
    "BOOL": "?",
    "INT8": "b",
    "INT16": "h",
    "INT32": "i",
    "INT64": "q",
    "UINT8": "B",
    "UINT16": "H",
    "UINT32": "I",
    "UINT64": "Q",
    "FP16": "e",
    "FP32": "f",
    "FP64": "d",
}
"""Datatype -> format of one element (module struct); all little endian, row by row, without gaps."""
DATATYPES = (*_ELEMENTS, "BYTES")
_LENGTH_BYTES = 4


def rows_in(where: str, shape: Any) -> int:
    """Rows of a tensor by its shape, [rows] or [rows, 1].

    Raises:
        InvalidRequest: another shape, no rows or too many.
    """
    sizes = shape if isinstance(shape, list) and all(type(size) is int for size in shape) else []
    if sizes[1:] not in ([], [1]) or not sizes or sizes[0] < 0:
        raise InvalidRequest(f"{where}: shape must be [rows] or [rows, 1]")
    check_count(sizes[0], "rows")
    return int(sizes[0])


def raw_values(where: str, datatype: Any, raw: bytes, rows: int) -> list[Any]:
    """The elements; of BYTES each stands after its length of 4 bytes.

    Raises:
        InvalidRequest: unknown datatype, or not so many bytes.
    """
    if datatype == "BYTES":
        return _raw_bytes(where, raw, rows)
    element = _ELEMENTS.get(datatype) if isinstance(datatype, str) else None
    if element is None:
        raise InvalidRequest(f"{where}: datatype must be one of {', '.join(DATATYPES)}")
    wanted = struct.calcsize(f"<{rows}{element}")
    if len(raw) != wanted:
        raise InvalidRequest(f"{where}: {datatype} of {rows} rows are {wanted} bytes raw, not {len(raw)}")
    return list(struct.unpack(f"<{rows}{element}", raw))


def json_values(where: str, datatype: str, values: list[Any], nulls: Any = None) -> list[Any]:
    """Elements as JSON has them: BYTES as text; NaN, and the rows of `nulls` (JSON text), as null.

    Raises:
        InvalidRequest: text that is not UTF-8, an infinity, or `nulls` is no list of rows.
    """
    unknown = set() if nulls is None else _null_rows(where, nulls, len(values))
    if datatype.startswith("FP"):
        infinite = next((row for row, value in enumerate(values) if math.isinf(value)), None)
        if infinite is not None:
            raise InvalidRequest(
                f"{where}: row {infinite} is infinite; send a number, or NaN where it is unknown"
            )
        told = [None if math.isnan(value) else value for value in values]
    elif datatype == "BYTES":
        try:
            told = [value.decode() for value in values]
        except UnicodeDecodeError:
            raise InvalidRequest(f"{where}: BYTES must be text in UTF-8") from None
    else:
        told = values
    return [None if row in unknown else value for row, value in enumerate(told)] if unknown else told


def split_body(body: bytes, json_bytes: bytes) -> tuple[dict[str, Any], bytes]:
    """The JSON of a request, and the bytes behind it.

    Args:
        body: JSON, then tensors in the inputs' order.
        json_bytes: the header's value, how long the JSON is.

    Raises:
        InvalidRequest: that is not its length.
    """
    length = int(json_bytes) if json_bytes.isdigit() and len(json_bytes) < len("1" * 10) else -1
    if not 0 < length <= len(body):
        raise InvalidRequest(f"{HEADER.decode()} must say how many of the body's {len(body)} bytes are JSON")
    return parse_json(body[:length]), body[length:]


def with_tensors(request: dict[str, Any], raw: bytes) -> dict[str, Any]:
    """A request whose tensors, or some of them, stand as bytes behind its JSON; as if all were in it.

    Raises:
        InvalidRequest: datatypes and bytes do not fit together; names the tensor.
    """
    position, tensors = 0, request.get("inputs")
    for index, tensor in enumerate(tensors if isinstance(tensors, list) else []):
        size = binary_size(tensor)
        if size is not None:
            where = f"input {index}, {str(tensor.get('name'))[:64]!r}"
            tensor["data"] = _data(where, tensor, raw[position : position + size])
            position += size
    if position != len(raw):
        raise InvalidRequest(f"{SIZE} of all inputs: {position}, but {len(raw)} bytes are sent")
    return request


def binary_size(tensor: Any) -> int | None:
    """How many bytes behind the JSON are this tensor's; None where it stands in the JSON."""
    parameters = tensor.get("parameters") if isinstance(tensor, dict) and "data" not in tensor else None
    size = parameters.get(SIZE) if isinstance(parameters, dict) else None
    return size if type(size) is int and size >= 0 else None


def _data(where: str, tensor: Mapping[str, Any], raw: bytes) -> list[Any]:
    datatype = tensor.get("datatype")
    values = raw_values(where, datatype, raw, rows_in(where, tensor.get("shape")))
    return json_values(where, str(datatype), values, tensor["parameters"].get(NULLS))


def _raw_bytes(where: str, raw: bytes, rows: int) -> list[Any]:
    values, position = [], 0
    for _ in range(rows):
        start = position + _LENGTH_BYTES
        position = start + int.from_bytes(raw[start - _LENGTH_BYTES : start], "little")
        if start > len(raw) or position > len(raw):
            break
        values.append(raw[start:position])
    if len(values) != rows or position != len(raw):
        raise InvalidRequest(f"{where}: {rows} raw BYTES are expected, each after its length of 4 bytes")
    return values


def _null_rows(where: str, nulls: Any, rows: int) -> set[int]:
    try:
        told = orjson.loads(nulls) if isinstance(nulls, str) else nulls
    except orjson.JSONDecodeError:
        told = None
    if not isinstance(told, list) or not all(type(row) is int and 0 <= row < rows for row in told):
        raise InvalidRequest(f'{where}: parameter {NULLS} must be a JSON list of row numbers, e.g. "[0, 2]"')
    return set(told)
