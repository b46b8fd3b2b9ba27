"""What is generated and committed equals a fresh generation; `make golden` rewrites it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from scripts.golden import (
    MESSAGES,
    REFERENCE,
    ROOT,
    SCHEMA,
    compile_pipeline,
    pipeline_names,
    protocol_messages,
    use_case_schema,
)
from scripts.reference import reference

USE_CASES = sorted((ROOT / "conf" / "use_cases").glob("*.yaml"))


def parsed(path: Path) -> list[Any]:
    text = re.sub(r"sdkVersion: kfp-[\w.]+", "sdkVersion: kfp", path.read_text(encoding="utf-8"))
    return list(yaml.safe_load_all(text))


@pytest.mark.parametrize("name", pipeline_names())
def test_committed_pipeline_is_what_its_source_compiles_to(name: str, tmp_path: Path) -> None:
    fresh = tmp_path / "pipeline.yaml"
    compile_pipeline(name, fresh)
    assert parsed(fresh) == parsed(ROOT / "pipelines" / name / "pipeline.yaml"), "run `make compile`"


def test_committed_schema_is_what_the_model_says() -> None:
    assert json.loads(SCHEMA.read_text(encoding="utf-8")) == use_case_schema(), "run `make golden`"


def test_committed_reference_is_what_the_model_says() -> None:
    assert REFERENCE.read_text(encoding="utf-8") == reference(use_case_schema()), "run `make golden`"


def test_committed_messages_of_grpc_are_what_their_protocol_says() -> None:
    assert MESSAGES.read_text(encoding="utf-8") == protocol_messages(), "run `make golden`"


@pytest.mark.parametrize("path", USE_CASES, ids=lambda p: p.stem)
def test_committed_use_cases_pass_the_schema_that_editors_use(path: Path) -> None:
    from lakeloop.use_case_files.strict_yaml import read_yaml

    value, _ = read_yaml(path)
    Draft202012Validator(use_case_schema()).validate(value)


@pytest.mark.parametrize("path", USE_CASES, ids=lambda p: p.stem)
def test_committed_use_cases_name_their_schema_for_editors(path: Path) -> None:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    named = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)
    assert named is not None
    assert (path.parent / named[1]).resolve() == SCHEMA


def test_schema_refuses_a_misspelt_key() -> None:
    errors = Draft202012Validator(use_case_schema()).iter_errors({"name": "a", "tabel": {}})
    assert any("tabel" in error.message for error in errors)


def test_the_use_case_in_the_readme_validates(tmp_path: Path) -> None:
    from lakeloop.use_case_files import load_use_case

    (block,) = re.findall(
        r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL
    )
    (tmp_path / "trips.yaml").write_text(block, encoding="utf-8")
    assert load_use_case(str(tmp_path / "trips.yaml")).name == "trips"
