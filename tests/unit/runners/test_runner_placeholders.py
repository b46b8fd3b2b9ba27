import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakeloop.runners.process.placeholders import (
    Context,
    PlaceholderError,
    guards_of,
    parse_argument,
    placeholders_of,
    render,
)


def context(parameters: dict[str, Any] | None = None, **artifacts: dict[str, Any]) -> Context:
    told = {
        "inputs": {
            "parameterValues": parameters or {},
            "artifacts": {name: {"artifacts": [one]} for name, one in artifacts.items()},
        },
        "outputs": {
            "parameters": {"o": {"outputFile": "/out/o"}},
            "artifacts": {},
            "outputFile": "/out/e.json",
        },
    }
    return Context(told, {"pipeline_job_uuid": "run-1"}, {"/data": "/data"})


@given(st.text())
def test_a_value_that_looks_like_a_placeholder_stays_a_value(text: str) -> None:
    value = text + "{{$.pipeline_job_uuid}}{{$}}"
    assert render(parse_argument("<{{$.inputs.parameters['x']}}>"), context({"x": value})) == [f"<{value}>"]


@given(st.text().filter(lambda text: "{{$" not in text and not text.startswith("{")))
def test_text_without_placeholders_is_left_alone(text: str) -> None:
    assert render(parse_argument(text), context()) == [text]


@given(st.dictionaries(st.text(min_size=1), st.text()))
def test_json_escape_can_be_undone(value: dict[str, str]) -> None:
    rendered = render(parse_argument("{{$.inputs.parameters['x'].json_escape[1]}}"), context({"x": value}))
    assert json.loads(json.loads(f'"{rendered[0]}"')) == value


def test_structures_become_none_one_or_several_arguments() -> None:
    present = {
        "IfPresent": {"InputName": "x", "Then": ["--x", "{{$.inputs.parameters['x']}}"], "Else": ["none"]}
    }
    argument = parse_argument(json.dumps(present))
    assert render(argument, context({"x": 2.0})) == ["--x", "2"]
    assert render(argument, context()) == ["none"]
    del present["IfPresent"]["Else"]
    assert render(parse_argument(json.dumps(present)), context()) == []
    joined = {
        "Concat": [
            "a=",
            {"IfPresent": {"InputName": "x", "Then": "X", "Else": "-"}},
            "{{$.outputs.output_file}}",
        ]
    }
    assert render(parse_argument(json.dumps(joined)), context({"x": 1})) == ["a=X/out/e.json"]
    assert list(guards_of(parse_argument(json.dumps(joined)))) == ["x"]


def test_an_artifact_counts_as_present() -> None:
    argument = parse_argument('{"IfPresent": {"InputName": "a", "Then": "yes", "Else": "no"}}')
    assert render(argument, context(a={"uri": "/data", "metadata": {}})) == ["yes"]


def test_artifacts_show_path_uri_and_metadata() -> None:
    here = {"uri": "/data", "metadata": {"rows": 3}}
    away = {"uri": "s3://bucket/key", "metadata": {}}
    given_context = context(here=here, away=away)
    assert render(parse_argument("{{$.inputs.artifacts['here'].path}}"), given_context) == ["/data"]
    assert render(parse_argument("{{$.inputs.artifacts['here'].metadata['rows']}}"), given_context) == ["3"]
    assert render(parse_argument("{{$.inputs.artifacts['away'].uri}}"), given_context) == ["s3://bucket/key"]
    with pytest.raises(PlaceholderError, match="s3://bucket/key is not on this machine"):
        render(parse_argument("{{$.inputs.artifacts['away'].path}}"), given_context)
    with pytest.raises(PlaceholderError, match="no metadata 'columns'"):
        render(parse_argument("{{$.inputs.artifacts['here'].metadata['columns']}}"), given_context)


@pytest.mark.parametrize(
    "text",
    [
        "{{$.inputs.secrets['x']}}",
        "{{$.workspace_path}}",
        '{"Concat": "a"}',
        '{"IfPresent": {"InputName": "x"}}',
    ],
)
def test_unknown_forms_are_refused_when_they_are_read(text: str) -> None:
    with pytest.raises(PlaceholderError):
        parse_argument(text)


def test_an_input_without_a_value_is_an_error() -> None:
    with pytest.raises(PlaceholderError, match="use IfPresentPlaceholder"):
        render(parse_argument("{{$.inputs.parameters['x']}}"), context())


def test_guarded_placeholders_are_told_from_bare_ones() -> None:
    guarded = parse_argument('{"IfPresent": {"InputName": "x", "Then": "{{$.inputs.parameters[\'x\']}}"}}')
    assert [safe for _, safe in placeholders_of(guarded)] == [True]
    assert [safe for _, safe in placeholders_of(parse_argument("{{$.inputs.parameters['x']}}"))] == [False]
