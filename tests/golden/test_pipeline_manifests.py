"""`kubectl apply -k pipelines/` installs exactly the committed pipelines."""

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from lakeloop.runners.cluster.submission import content_digest
from scripts.golden import (
    KUSTOMIZATION,
    MANIFEST,
    ROOT,
    compile_manifest,
    kustomization,
    pipeline_names,
)


def documents(path: Path) -> list[Any]:
    found = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    for document in found:
        spec = document.get("spec", {}).get("pipelineSpec", document)
        spec.pop("sdkVersion", None)
    return found


@pytest.mark.parametrize("name", pipeline_names())
def test_the_resources_hold_the_committed_pipeline(name: str) -> None:
    folder = ROOT / "pipelines" / name
    spec, *platform = documents(folder / "pipeline.yaml")
    pipeline, version = documents(folder / MANIFEST)
    assert (pipeline["kind"], version["kind"]) == ("Pipeline", "PipelineVersion")
    assert {pipeline["apiVersion"], version["apiVersion"]} == {"pipelines.kubeflow.org/v2beta1"}
    assert version["spec"]["pipelineSpec"] == spec
    assert version["spec"].get("platformSpec") == (platform[0] if platform else None)
    assert version["spec"]["pipelineName"] == pipeline["metadata"]["name"] == spec["pipelineInfo"]["name"]


@pytest.mark.parametrize("name", pipeline_names())
def test_committed_resources_are_what_the_source_compiles_to(name: str, tmp_path: Path) -> None:
    compile_manifest(name, ROOT / "pipelines" / name / "pipeline.yaml", tmp_path / MANIFEST)
    assert documents(tmp_path / MANIFEST) == documents(ROOT / "pipelines" / name / MANIFEST), (
        "run `make compile`"
    )


def test_every_pipeline_is_installed() -> None:
    assert KUSTOMIZATION.read_text(encoding="utf-8") == kustomization(pipeline_names()), "run `make compile`"


@pytest.mark.parametrize("name", pipeline_names())
def test_no_pipeline_uses_what_older_back_ends_leave_unresolved(name: str) -> None:
    text = (ROOT / "pipelines" / name / "pipeline.yaml").read_text(encoding="utf-8")
    assert not [word for word in ("IfPresent", "].metadata", "cacheKey") if word in text]
    assert not re.findall(r"constant: .*\{\{\$\.inputs\.", text), "an f-string as a task's input"


def test_a_changed_pipeline_is_a_new_version_and_another_sdk_is_not(tmp_path: Path) -> None:
    compiled = ROOT / "pipelines" / "tidy" / "pipeline.yaml"
    spec, *platform = yaml.safe_load_all(compiled.read_text(encoding="utf-8"))

    def digest(changed: dict[str, Any]) -> str:
        path = tmp_path / "pipeline.yaml"
        path.write_text(yaml.safe_dump_all([changed, *platform]), encoding="utf-8")
        return content_digest(path)

    other_sdk = {**copy.deepcopy(spec), "sdkVersion": "kfp-9.9.9"}
    other_image = copy.deepcopy(spec)
    next(iter(other_image["deploymentSpec"]["executors"].values()))["container"]["image"] = "lakeloop/train:9"
    assert digest(other_sdk) == content_digest(compiled)
    assert digest(other_image) != content_digest(compiled)
    version = documents(ROOT / "pipelines" / "tidy" / MANIFEST)[1]
    assert version["metadata"]["name"] == f"lakeloop-tidy-{content_digest(compiled)}"
