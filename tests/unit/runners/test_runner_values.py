import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakeloop.runners.process.values import ValueMismatchError, canonical, coerce, parse_output, to_text

FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(FINITE)
def test_a_double_survives_its_text(number: float) -> None:
    text = to_text(number)
    assert "e" not in text.lower()
    assert float(text) == number
    assert parse_output(text, "NUMBER_DOUBLE") == number


@given(
    st.recursive(st.none() | st.booleans() | FINITE | st.text(), lambda inner: st.lists(inner, max_size=3))
)
def test_canonical_values_are_stable_and_survive_json(value: object) -> None:
    once = canonical(value)
    assert canonical(once) == once
    assert canonical(json.loads(json.dumps(once))) == once


def test_a_snapshot_id_as_a_number_loses_digits_as_on_a_cluster() -> None:
    assert to_text(3051729675574597004) == "3051729675574597000"
    assert parse_output("3051729675574597004", "NUMBER_INTEGER") == 3051729675574597120


@pytest.mark.parametrize(
    ("value", "text"),
    [(3.0, "3"), (2.5, "2.5"), (1e-7, "0.0000001"), (True, "true"), (None, ""), ([1.0, "a"], '[1,"a"]')],
)
def test_texts_are_those_of_the_launcher(value: object, text: str) -> None:
    assert to_text(value) == text


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        (" 12\n", "NUMBER_INTEGER", 12),
        ("1e3", "NUMBER_DOUBLE", 1000),
        ("T", "BOOLEAN", True),
        ("False", "BOOLEAN", False),
        ("[1, 2]", "LIST", [1, 2]),
        ('{"a": 1}', "STRUCT", {"a": 1}),
        (" kept \n", "STRING", " kept \n"),
    ],
)
def test_output_files_are_read_by_type(text: str, kind: str, value: object) -> None:
    assert parse_output(text, kind) == value


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("1.5", "NUMBER_INTEGER"),
        ("1_000", "NUMBER_INTEGER"),
        (str(2**63), "NUMBER_INTEGER"),
        ("nan", "NUMBER_DOUBLE"),
        ("1e999", "NUMBER_DOUBLE"),
        ("yes", "BOOLEAN"),
        ("{}", "LIST"),
        ("[1", "LIST"),
        ("", "NUMBER_DOUBLE"),
    ],
)
def test_text_of_another_type_is_refused(text: str, kind: str) -> None:
    with pytest.raises(ValueMismatchError):
        parse_output(text, kind)


def test_only_strings_take_other_types() -> None:
    assert coerce(2.0, "STRING") == "2"
    with pytest.raises(ValueMismatchError, match=r"expected NUMBER_INTEGER, got number 2.5"):
        coerce(2.5, "NUMBER_INTEGER")
    with pytest.raises(ValueMismatchError, match=r"expected BOOLEAN, got string 'true'"):
        coerce("true", "BOOLEAN")
    with pytest.raises(ValueMismatchError, match=r"not a finite number"):
        canonical([math.inf])
