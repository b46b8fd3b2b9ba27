from __future__ import annotations

import contextlib
import json
from datetime import date, datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakeloop.serving.column_types import to_arrow
from lakeloop.serving.rows import InvalidRequest, json_schema, parse_request, typed_rows

COLUMNS = {
    "amount": "double",
    "count": "long",
    "age": "int",
    "open": "boolean",
    "name": "string",
    "day": "date",
    "at": "timestamp",
    "seen": "timestamptz",
    "price": "decimal(9, 2)",
}
ROW: dict[str, Any] = {
    "amount": 1.5,
    "count": 2**62,
    "age": 30,
    "open": True,
    "name": "x",
    "day": "2013-02-28",
    "at": "2013-02-28T23:59:59.000001",
    "seen": "2013-02-28T23:59:59+01:00",
    "price": 7,
}


def parse(rows: Any, columns: dict[str, str] = COLUMNS) -> list[dict[str, Any]]:
    return parse_request(json.dumps({"rows": rows}).encode(), columns)


def test_values_arrive_in_the_types_of_the_source_table() -> None:
    table = to_arrow(parse([ROW, dict.fromkeys(COLUMNS)]), COLUMNS)
    assert table.num_rows == 2
    assert table.slice(1).to_pylist() == [dict.fromkeys(COLUMNS)]
    first = table.to_pylist()[0]
    assert (first["count"], first["age"], first["price"]) == (2**62, 30, 7.0)
    assert (first["day"], first["at"]) == (date(2013, 2, 28), datetime.fromisoformat(ROW["at"]))
    assert first["seen"].isoformat() == "2013-02-28T22:59:59+00:00"
    assert table.schema.field("age").type == pa.int32()


def test_typed_rows_stay_as_they_are() -> None:
    once = parse([ROW])
    assert typed_rows(once, COLUMNS) == once


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("amount", "1.5", 'expected double, got the text "1.5"'),
        ("amount", True, "expected double, got the boolean true"),
        ("amount", [1], "expected double, got a list"),
        ("count", 1.5, "expected long, got the number 1.5"),
        ("count", 2**63, "expected long, got the number 9223372036854775808"),
        ("age", 2**31, "expected int"),
        ("open", 1, "expected boolean, got the number 1"),
        ("name", 5, "expected string, got the number 5"),
        ("day", "28.02.2013", "expected date"),
        ("day", 5, "expected date"),
        ("at", "yesterday", "expected timestamp"),
        ("at", {}, "expected timestamp, got an object"),
        ("price", "7", "expected decimal(9, 2)"),
    ],
)
def test_a_wrong_type_names_row_column_and_what_was_expected(column: str, value: Any, told: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        parse([ROW, {**ROW, column: value}])
    assert str(error.value).startswith(f"row 1, column {column!r}: ")
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b'{"rows": [{"a": NaN}]}', "not JSON"),
        (b"\xff\xfe\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "an object, not a list"),
        (b'{"rows": {}}', "one key"),
        (b'{"rows": [], "x": 1}', "one key"),
        (b'{"rows": []}', "empty"),
        (b'{"rows": [1]}', "row 0: must be an object"),
        (b'{"rows": [{}]}', "row 0: missing column 'a'"),
        (b'{"rows": [{"a": 1}, {"a": 1, "b": 2}]}', "row 1: unknown column 'b'"),
        (b'{"rows": [{"a": 1}, {"a": 1}, {"a": 1}]}', "3 rows are more than the 2"),
        (b'{"rows": [{"a": 1e400}]}', "not JSON"),
        (b'{"rows": [{"a": "\\ud800"}]}', "not JSON"),
    ],
)
def test_a_wrong_request_gets_one_clear_message(body: bytes, told: str) -> None:
    with pytest.raises(InvalidRequest, match=told):
        parse_request(body, {"a": "double"}, max_rows=2)


def test_the_documented_schema_accepts_what_the_server_accepts() -> None:
    import jsonschema

    schema = json_schema(COLUMNS)
    jsonschema.validate({"rows": [ROW, dict.fromkeys(COLUMNS)]}, schema)
    for wrong in (
        {"rows": []},
        {"rows": [{}]},
        {"rows": [{**ROW, "other": 1}]},
        {"rows": [{**ROW, "age": "x"}]},
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@given(st.dictionaries(st.sampled_from([*COLUMNS, "other"]), JSON_VALUES))
def test_whatever_is_sent_is_either_typed_or_refused(row: dict[str, Any]) -> None:
    with contextlib.suppress(InvalidRequest):
        assert to_arrow(parse([{**ROW, **row}]), COLUMNS).num_rows == 1
