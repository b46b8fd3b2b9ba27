"""Tensors of gRPC become the values that the REST form has, or are refused by name."""

from __future__ import annotations

import math
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakeloop.serving.predictor.open_inference import open_inference_pb2 as messages
from lakeloop.serving.predictor.open_inference.tensors import v2_request
from lakeloop.serving.rows import MAX_ROWS, InvalidRequest

COLUMNS = {"a": "double", "b": "int"}
INTEGERS = {"INT8": ("b", 8), "INT16": ("h", 16), "INT32": ("i", 32), "INT64": ("q", 64)}
UNSIGNED = {"UINT8": ("B", 8), "UINT16": ("H", 16), "UINT32": ("I", 32), "UINT64": ("Q", 64)}


def asked(
    datatype: str, shape: list[int], raw: bytes | None = None, name: str = "a", **contents: list[Any]
) -> Any:
    request = messages.ModelInferRequest()
    tensor = request.inputs.add(name=name, datatype=datatype, shape=shape)
    if contents:
        tensor.contents.CopyFrom(messages.InferTensorContents(**contents))
    if raw is not None:
        request.raw_input_contents.append(raw)
    return request


def data(request: Any) -> list[Any]:
    (tensor,) = v2_request(request, COLUMNS)["inputs"]
    values: list[Any] = tensor["data"]
    return values


@st.composite
def tensors(draw: st.DrawFn) -> tuple[str, str, bytes, list[Any]]:
    """Datatype, its field, the values raw, and as they are."""
    kind = draw(st.sampled_from([*INTEGERS, *UNSIGNED, "BOOL", "FP32", "FP64", "BYTES"]))
    if kind == "BYTES":
        texts = draw(st.lists(st.text(max_size=9), min_size=1, max_size=9))
        sent = [text.encode() for text in texts]
        return kind, "bytes_contents", b"".join(struct.pack("<I", len(t)) + t for t in sent), texts
    if kind in INTEGERS:
        code, bits = INTEGERS[kind]
        field = "int64_contents" if bits == 64 else "int_contents"
        one: st.SearchStrategy[Any] = st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    elif kind in UNSIGNED:
        code, bits = UNSIGNED[kind]
        field, one = "uint64_contents" if bits == 64 else "uint_contents", st.integers(0, 2**bits - 1)
    elif kind == "BOOL":
        code, field, one = "?", "bool_contents", st.booleans()
    else:
        bits = int(kind[2:])
        code, field, one = (
            "f" if bits == 32 else "d",
            f"fp{bits}_contents",
            st.floats(width=bits, allow_infinity=False),
        )  # type: ignore[call-overload]
    values = draw(st.lists(one, min_size=1, max_size=9))
    return kind, field, struct.pack(f"<{len(values)}{code}", *values), values


@given(tensors(), st.booleans())
def test_raw_and_typed_contents_say_the_same(tensor: tuple[str, str, bytes, list[Any]], wide: bool) -> None:
    kind, field, raw, values = tensor
    shape = [len(values), 1] if wide else [len(values)]
    sent = [v.encode() for v in values] if kind == "BYTES" else values
    expected = [None if kind.startswith("FP") and math.isnan(v) else v for v in values]
    assert data(asked(kind, shape, **{field: sent})) == expected
    assert data(asked(kind, shape, raw)) == expected


def test_half_floats_come_raw() -> None:
    assert data(asked("FP16", [2], struct.pack("<2e", 0.5, float("nan")))) == [0.5, None]


@pytest.mark.parametrize(("kind", "code"), [("FP16", "e"), ("FP32", "f"), ("FP64", "d")])
def test_an_infinity_is_refused_as_in_json_which_has_none(kind: str, code: str) -> None:
    raw = struct.pack(f"<3{code}", 0.5, float("nan"), float("-inf"))
    with pytest.raises(InvalidRequest, match="row 2 is infinite"):
        data(asked(kind, [3], raw))


def test_a_tensor_says_by_parameter_which_rows_are_unknown() -> None:
    request = asked("INT32", [3], int_contents=[7, 0, 9])
    request.inputs[0].parameters["nulls"].string_param = "[1]"
    assert data(request) == [7, None, 9]
    for wrong in ("[3]", "[-1]", "1", "[true]", "[1", "", '["1"]'):
        request.inputs[0].parameters["nulls"].string_param = wrong
        with pytest.raises(InvalidRequest, match="parameter nulls must be a JSON list of row numbers"):
            data(request)


def test_id_and_wanted_outputs_are_handed_on() -> None:
    request = asked("FP64", [1], fp64_contents=[0.5])
    request.id = "mine"
    request.outputs.add(name="score")
    told = v2_request(request, COLUMNS)
    assert (told["id"], told["outputs"]) == ("mine", [{"name": "score"}])


@pytest.mark.parametrize(
    ("request_", "problem"),
    [
        (asked("FP64", [2], fp64_contents=[1.0]), "FP64 of 2 rows, but fp64_contents has 1 values"),
        (asked("INT32", [1], fp64_contents=[1.0]), "INT32 of 1 rows, but int_contents has 0 values"),
        (asked("FP64", []), r"shape must be \[rows\]"),
        (asked("FP64", [1, 2], fp64_contents=[1.0, 2.0]), r"shape must be \[rows\]"),
        (asked("FP64", [-1]), r"shape must be \[rows\]"),
        (asked("FP64", [0]), "rows is empty"),
        (asked("BOOL", [2**62]), f"more than the {MAX_ROWS} allowed"),
        (asked("FP64", [1], b"\0" * 7), "FP64 of 1 rows are 8 bytes raw, not 7"),
        (asked("FP64", [1], b"\0" * 8, fp64_contents=[1.0]), "contents must be empty"),
        (asked("COMPLEX", [1], b"\0" * 8), "datatype must be one of BOOL"),
        (asked("FP16", [1], fp32_contents=[1.0]), "datatype must be one of BOOL"),
        (asked("BYTES", [1], bytes_contents=[b"\xff"]), "BYTES must be text in UTF-8"),
        (asked("BYTES", [1], b"\4\0\0\0abc"), "1 raw BYTES are expected"),
        (asked("BYTES", [2], b"\1\0\0\0a"), "2 raw BYTES are expected"),
        (asked("BYTES", [1], b"\1\0\0\0ab"), "1 raw BYTES are expected"),
        (asked("BYTES", [1], b"\1\0"), "1 raw BYTES are expected"),
        (asked("FP64", [1], name="x" * 999), "input 0, 'x{64}':"),
    ],
)
def test_what_does_not_fit_is_refused_and_says_where(request_: Any, problem: str) -> None:
    with pytest.raises(InvalidRequest, match=problem):
        v2_request(request_, COLUMNS)


def test_contents_of_other_tensors_than_there_are_inputs_are_refused() -> None:
    request = asked("FP64", [1], b"\0" * 8)
    request.raw_input_contents.append(b"\0" * 8)
    with pytest.raises(InvalidRequest, match="2 entries for 1 inputs"):
        v2_request(request, COLUMNS)
    many = messages.ModelInferRequest()
    for _ in range(3):
        many.inputs.add(name="a", datatype="FP64", shape=[1])
    with pytest.raises(InvalidRequest, match="one tensor a column"):
        v2_request(many, COLUMNS)
