"""The compiled file on disk -> a checked `ir.Pipeline`, or one error that names every reason to refuse."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from lakeloop.domain.errors import UserError
from lakeloop.runners.process import ir
from lakeloop.runners.process.checks import check_pipeline
from lakeloop.runners.process.executors import read_executor
from lakeloop.runners.process.findings import Finding, walk_fields
from lakeloop.runners.process.reading import ReadingError, read_component
from lakeloop.runners.process.spec_fields import PIPELINE_FIELDS, PLATFORM_FIELDS

SCHEMA_VERSION: Final = "2.1.0"


def load_pipeline(path: Path) -> ir.Pipeline:
    """Read and check a compiled pipeline.

    Raises:
        UserError: the file is missing, is not a compiled pipeline, or holds what cannot be honoured.
    """
    try:
        text = path.read_text(encoding="utf-8")
        documents = [document for document in yaml.load_all(text, Loader=_loader()) if document]
    except OSError as error:
        raise UserError("the pipeline cannot be read", where=str(path), fix=str(error.strerror)) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"not YAML: {error}", where=str(path), fix="compile the pipeline again") from error
    return read_pipeline(documents, str(path))


def _loader() -> Any:
    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_pipeline(documents: Sequence[Any], where: str) -> ir.Pipeline:
    """The pipeline that the YAML documents (specification, optionally platform) describe.

    Raises:
        UserError: naming every task and field that cannot be honoured, and what to do.
    """
    spec, platform = _split(documents, where)
    findings = [*walk_fields(spec, PIPELINE_FIELDS), *walk_fields(platform, PLATFORM_FIELDS)]
    _refuse([_with_task(finding, spec) for finding in findings if finding.refused], where)
    try:
        pipeline = _build(spec, platform, _grouped([_with_task(f, spec) for f in findings if not f.refused]))
    except ReadingError as error:
        _refuse([Finding(error.place, error.problem)], where)
        raise
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise UserError(f"malformed: {error!r}", where=where, fix="compile the pipeline again") from error
    _refuse(list(check_pipeline(pipeline)), where)
    return pipeline


def _split(documents: Sequence[Any], where: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    fix = "give the YAML file that `kfp dsl compile` wrote"
    if not documents or not isinstance(documents[0], Mapping) or "pipelineInfo" not in documents[0]:
        raise UserError("not a compiled KFP pipeline", where=where, fix=fix)
    if len(documents) > 2 or (len(documents) == 2 and "platforms" not in documents[1]):  # noqa: PLR2004
        raise UserError("more than a pipeline and a platform document", where=where, fix=fix)
    version = documents[0].get("schemaVersion")
    if version != SCHEMA_VERSION:
        raise UserError(
            f"schemaVersion {version} is not {SCHEMA_VERSION}", where=where, fix="compile with KFP SDK 2"
        )
    return documents[0], documents[1] if len(documents) > 1 else {}


def _build(spec: Mapping[str, Any], platform: Mapping[str, Any], not_applied: Sequence[str]) -> ir.Pipeline:
    kubernetes = (platform.get("platforms") or {}).get("kubernetes") or {}
    per_executor = (kubernetes.get("deploymentSpec") or {}).get("executors") or {}
    executors = (spec.get("deploymentSpec") or {}).get("executors") or {}
    deadline = (kubernetes.get("pipelineConfig") or {}).get("activeDeadlineSeconds")
    text = json.dumps([spec, platform], sort_keys=True, default=str)
    components = {name: read_component(name, one) for name, one in (spec.get("components") or {}).items()}
    return ir.Pipeline(
        name=str((spec.get("pipelineInfo") or {}).get("name") or "pipeline"),
        root=read_component("root", spec.get("root") or {}),
        components=components,
        executors={
            label: read_executor(label, one, per_executor.get(label) or {})
            for label, one in executors.items()
        },
        deadline_seconds=float(deadline) if deadline and int(deadline) > 0 else None,
        digest=hashlib.sha256(text.encode()).hexdigest(),
        not_applied=(*not_applied, *_cache_keys(components)),
    )


def _cache_keys(components: Mapping[str, ir.Component]) -> list[str]:
    return [
        f"{task.name}.cachingOptions.cacheKey: added to the fingerprint; it never replaces the inputs"
        for component in components.values()
        for task in (component.dag.tasks.values() if component.dag else ())
        if task.cache_key
    ]


def _with_task(finding: Finding, spec: Mapping[str, Any]) -> Finding:
    for name, component in (spec.get("components") or {}).items():
        label = component.get("executorLabel") if isinstance(component, Mapping) else None
        if label and f".executors.{label}." in f"{finding.place}.":
            task = name.removeprefix("comp-")
            return Finding(f"task {task}: {finding.place}", finding.problem, finding.fix, finding.refused)
    return finding


def _grouped(findings: Sequence[Finding]) -> list[str]:
    """One line for a field that several tasks have."""
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.place.rpartition(".")[2], finding.problem), []).append(finding)
    return [
        str(of[0]) if len(of) == 1 else f"{field} of {len(of)} tasks: {problem}"
        for (field, problem), of in groups.items()
    ]


def _refuse(findings: Sequence[Finding], where: str) -> None:
    if not findings:
        return
    lines = "".join(f"\n  {finding}" for finding in findings)
    raise UserError(f"the pipeline cannot be run here as it stands, nothing was started:{lines}", where=where)
