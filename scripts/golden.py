"""Writes what is generated and committed: `python -m scripts.golden pipelines|schema`."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

from scripts.reference import reference

ROOT = Path(__file__).resolve().parents[1]
SCHEMA = ROOT / "docs" / "schema" / "use_case.schema.json"
REFERENCE = ROOT / "docs" / "use-case-reference.md"


def pipeline_names() -> list[str]:
    """Folders of pipelines/ that hold a pipeline.py."""
    return sorted(path.parent.name for path in (ROOT / "pipelines").glob("*/pipeline.py"))


def compile_pipeline(name: str, target: Path) -> None:
    """Compile the one pipeline function of pipelines/NAME/pipeline.py."""
    from kfp.compiler import Compiler
    from kfp.dsl.graph_component import GraphComponent

    module = importlib.import_module(f"pipelines.{name}.pipeline")
    (pipeline,) = [
        value
        for value in vars(module).values()
        if isinstance(value, GraphComponent) and value.pipeline_func.__module__ == module.__name__
    ]
    Compiler().compile(pipeline, str(target))


def use_case_schema() -> dict[str, Any]:
    """JSON schema of a use-case file."""
    from lakeloop.domain.use_case import UseCase

    schema = UseCase.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "lakeloop use case"}


def _write_pipelines() -> None:
    for name in pipeline_names():
        target = ROOT / "pipelines" / name / "pipeline.yaml"
        compile_pipeline(name, target)
        print(target.relative_to(ROOT))


def _write_schema() -> None:
    SCHEMA.parent.mkdir(parents=True, exist_ok=True)
    SCHEMA.write_text(json.dumps(use_case_schema(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    REFERENCE.write_text(reference(use_case_schema()), encoding="utf-8")
    print(f"{SCHEMA.relative_to(ROOT)}\n{REFERENCE.relative_to(ROOT)}")


if __name__ == "__main__":
    {"pipelines": _write_pipelines, "schema": _write_schema}[sys.argv[1]]()
