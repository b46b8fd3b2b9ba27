import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakeloop.runners.process.conditions import ConditionError, parse_condition

X = "inputs.parameter_values['x']"


def holds(text: str, **parameters: object) -> bool:
    return parse_condition(text).holds(parameters)


@pytest.mark.parametrize(
    ("text", "x", "expected"),
    [
        (f"{X} > double(1)", 2.5, True),
        (f"double(int({X})) >= 2.5", 3, True),
        (f"!({X} > double(1)) && int({X}) == 1", 1, True),
        (f"{X} == 'it \\'s'", "it 's", True),
        (f"{X} != 'a'", "a", False),
        (f"{X} == true", True, True),
        (f"{X} == -1", -1, True),
        (f"{X} < 2.5e-05", 1e-5, True),
        (f"({X} == 1 || {X} == 2) && !({X} == 1)", 2, True),
        (f"{X} == 'a' || {X} == 'b' && {X} == 'c'", "a", True),
    ],
)
def test_what_the_compiler_writes_is_decided(text: str, x: object, expected: bool) -> None:
    assert holds(text, x=x) is expected


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.sampled_from(["<", "<=", ">", ">=", "==", "!="]))
def test_a_comparison_and_its_negation_never_agree(x: float, limit: float, sign: str) -> None:
    text = f"{X} {sign} {limit}"
    assert holds(text, x=x) is not holds(f"!({text})", x=x)


@pytest.mark.parametrize(
    "text",
    [
        X,
        f"{X} in ['a']",
        f"{X} == 'a' and true",
        f"'{X}' == 'a'",
        f"size({X}) > 1",
        f"{X} == 'a' {X}",
        f"({X} == 'a'",
        "",
        f"{X} == 'a\\q'",
        f"{X} == inf",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ConditionError):
        parse_condition(text)


@pytest.mark.parametrize(
    ("text", "parameters", "message"),
    [
        (f"{X} == 'a'", {}, "input 'x' has no value"),
        (f"{X} == 'a'", {"x": 1}, "differ in type"),
        (f"{X} == true", {"x": 1}, "differ in type"),
        (f"int({X}) > 1", {"x": "many"}, "not a number"),
        (f"{X} == {X}", {"x": [1]}, "only texts, numbers and booleans"),
    ],
)
def test_what_cannot_be_decided_is_an_error_and_not_false(
    text: str, parameters: dict[str, object], message: str
) -> None:
    with pytest.raises(ConditionError, match=message):
        parse_condition(text).holds(parameters)


def test_names_of_inputs_are_known_before_the_run() -> None:
    text = f"{X} == 1 && !(inputs.parameter_values['pipelinechannel--y'] == 2)"
    assert parse_condition(text).input_names() == {"x", "pipelinechannel--y"}
