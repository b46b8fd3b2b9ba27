"""Writes what is generated and committed: `python -m scripts.golden pipelines|schema|messages|manifests|platform`."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lakeloop.runners.cluster.submission import content_digest
from scripts.reference import reference

ROOT = Path(__file__).resolve().parents[1]
SCHEMA = ROOT / "docs" / "schema" / "use_case.schema.json"
SCHEDULE_SCHEMA = SCHEMA.with_name("schedule.schema.json")
MANIFEST = "kubernetes.yaml"
KUSTOMIZATION = ROOT / "pipelines" / "kustomization.yaml"
MANIFESTS = ROOT / "tests" / "golden" / "endpoint_manifests"
MANIFEST_OVERLAYS = ("kind", "cluster")
RENDERED = ROOT / "tests" / "golden" / "manifests"
_OF_CONF = re.compile(
    r"^kind: ConfigMap\n.*^  name: lakeloop-(use-cases|schedules)", re.MULTILINE | re.DOTALL
)
_CONF_NAME = re.compile(r"(lakeloop-(?:use-cases|schedules))-[0-9a-z]{10}\b")
TOOLS = ROOT / "images" / "tools.txt"
REFERENCE = ROOT / "docs" / "use-case-reference.md"
PROTOCOL = ROOT / "src/lakeloop/serving/predictor/open_inference/open_inference.proto"
MESSAGES = PROTOCOL.with_name("open_inference_pb2.py")


def pipeline_names() -> list[str]:
    """Folders of pipelines/ that hold a pipeline.py."""
    return sorted(path.parent.name for path in (ROOT / "pipelines").glob("*/pipeline.py"))


def compile_pipeline(name: str, target: Path) -> None:
    """Compile the one pipeline function of pipelines/NAME/pipeline.py."""
    from kfp.compiler import Compiler

    Compiler().compile(_pipeline_of(name), str(target))


def compile_manifest(name: str, compiled: Path, target: Path) -> None:
    """The same as Kubernetes resources: a Pipeline, and a PipelineVersion named by its content.

    Args:
        name: folder of pipelines/.
        compiled: the pipeline.yaml; what it says is the version's identity.
        target: where the two resources are written.
    """
    from kfp.compiler import Compiler, KubernetesManifestOptions

    pipeline = _pipeline_of(name)
    options = KubernetesManifestOptions(
        pipeline_name=pipeline.name,
        pipeline_version_name=f"{pipeline.name}-{content_digest(compiled)}",
        include_pipeline_manifest=True,
    )
    Compiler().compile(
        pipeline, str(target), kubernetes_manifest_format=True, kubernetes_manifest_options=options
    )


def kustomization(names: Iterable[str]) -> str:
    """pipelines/kustomization.yaml: every pipeline's resources, in the namespace of Kubeflow Pipelines."""
    lines = [
        "# Written by `make compile`. kubectl apply -k pipelines/",
        "apiVersion: kustomize.config.k8s.io/v1beta1",
        "kind: Kustomization",
        "namespace: kubeflow",
        "resources:",
        *(f"  - {name}/{MANIFEST}" for name in names),
    ]
    return "\n".join(lines) + "\n"


def _pipeline_of(name: str) -> Any:
    from kfp.dsl.graph_component import GraphComponent

    module = importlib.import_module(f"pipelines.{name}.pipeline")
    (pipeline,) = [
        value
        for value in vars(module).values()
        if isinstance(value, GraphComponent) and value.pipeline_func.__module__ == module.__name__
    ]
    return pipeline


def render(overlay: str) -> str:
    """What kubectl would apply, but for the files of conf/, which are committed as they are."""
    folder = ROOT / "manifests" / "overlays" / overlay
    command = ["kubectl", "kustomize", str(folder)]
    text = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    kept = "\n---\n".join(part for part in text.split("\n---\n") if not _OF_CONF.search(part))
    return _CONF_NAME.sub(r"\1", kept)


def build_tools() -> str:
    """images/tools.txt: what builds an image, locked, with hashes."""
    words = ["--frozen", "--only-group", "images", "--no-emit-project", "--no-header", "--quiet"]
    command = [str(ROOT / ".tools/bin/uv"), "export", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120, cwd=ROOT).stdout


def protocol_messages() -> str:
    """The message classes of the Open Inference Protocol, out of its .proto file."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["-m", "grpc_tools.protoc", f"-I{PROTOCOL.parent}", f"--python_out={folder}", PROTOCOL.name]
        subprocess.run([sys.executable, *words], check=True, timeout=60)
        return (Path(folder) / MESSAGES.name).read_text(encoding="utf-8")


def use_case_schema() -> dict[str, Any]:
    """JSON schema of a use-case file."""
    from lakeloop.domain.use_case import UseCase

    schema = UseCase.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "lakeloop use case"}


def schedule_schema() -> dict[str, Any]:
    """JSON schema of a schedule file."""
    from lakeloop.domain.schedule import Schedule

    schema = Schedule.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "lakeloop schedule"}


def _write_pipelines() -> None:
    for name in pipeline_names():
        target = ROOT / "pipelines" / name / "pipeline.yaml"
        compile_pipeline(name, target)
        print(target.relative_to(ROOT))
        compile_manifest(name, target, target.with_name(MANIFEST))
    KUSTOMIZATION.write_text(kustomization(pipeline_names()), encoding="utf-8")


def _write_schema() -> None:
    SCHEMA.parent.mkdir(parents=True, exist_ok=True)
    SCHEMA.write_text(json.dumps(use_case_schema(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    text = json.dumps(schedule_schema(), indent=2, ensure_ascii=False) + "\n"
    SCHEDULE_SCHEMA.write_text(text, encoding="utf-8")
    REFERENCE.write_text(reference(use_case_schema()), encoding="utf-8")
    print(f"{SCHEMA.relative_to(ROOT)}\n{REFERENCE.relative_to(ROOT)}")


def _write_messages() -> None:
    MESSAGES.write_text(protocol_messages(), encoding="utf-8")
    print(MESSAGES.relative_to(ROOT))


def _write_manifests() -> None:
    from scripts.endpoint_examples import manifests

    MANIFESTS.mkdir(parents=True, exist_ok=True)
    for name, manifest in manifests().items():
        target = MANIFESTS / f"{name}.json"
        target.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        print(target.relative_to(ROOT))


def _write_platform() -> None:
    TOOLS.write_text(build_tools(), encoding="utf-8")
    if shutil.which("kubectl") is None:
        print("kubectl is not installed: tests/golden/manifests stays as it is")
        return
    RENDERED.mkdir(parents=True, exist_ok=True)
    for overlay in MANIFEST_OVERLAYS:
        target = RENDERED / f"{overlay}.yaml"
        target.write_text(render(overlay), encoding="utf-8")
        print(target.relative_to(ROOT))


if __name__ == "__main__":
    {
        "pipelines": _write_pipelines,
        "schema": _write_schema,
        "messages": _write_messages,
        "manifests": _write_manifests,
        "platform": _write_platform,
    }[sys.argv[1]]()
