"""When two executions of a task are the same execution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lakeloop.domain.base import canonical_json, sha256_hex
from lakeloop.runners.process import ir
from lakeloop.runners.process.content import ABSENT
from lakeloop.runners.process.inputs import Artifact, Values
from lakeloop.runners.process.placeholders import placeholders_of


def inputs_digest(inputs: Values) -> str:
    """Digest of all parameter values and of every artifact's content and metadata; places do not count."""
    artifacts = {name: [_identity(one) for one in many] for name, many in inputs.artifacts.items()}
    return sha256_hex(canonical_json({"parameters": dict(inputs.parameters), "artifacts": artifacts}))


def _identity(artifact: Artifact) -> dict[str, Any]:
    # A remote artifact has no content to look at: its URI is all that identifies it.
    content = artifact.digest or artifact.uri
    return {"schema": dict(artifact.schema), "metadata": dict(artifact.metadata), "content": content}


def task_fingerprint(  # noqa: PLR0913
    component: ir.Component,
    container: ir.Container,
    inputs: Values,
    *,
    environment: Mapping[str, str],
    code_digest: str,
    cache_key: str,
) -> str:
    """Digest of everything that may change what a task produces.

    `environment` holds the variables given to the task beyond the parent's own, secrets included;
    `code_digest` stands for the code behind the image.
    """
    interface = {
        "inputs": {name: spec.type for name, spec in component.parameters.items()},
        "output_parameters": dict(component.output_parameters),
        "output_artifacts": {name: dict(spec.schema) for name, spec in component.output_artifacts.items()},
    }
    return sha256_hex(
        canonical_json(
            {
                "interface": interface,
                "container": {key: container.spec.get(key) for key in ("image", "command", "args", "env")},
                "inputs": inputs_digest(inputs),
                "environment": sha256_hex(canonical_json(dict(environment))),
                "code": code_digest,
                "cache_key": cache_key,
            }
        )
    )


def cacheable(container: ir.Container, inputs: Values, code_digest: str) -> str:
    """Why a task's outputs may not come from a cache; empty when they may."""
    if not code_digest and "@sha256:" not in container.image:
        return "the code behind the image is unknown: no code digest, and the image is not pinned by digest"
    if any(one.digest is None for many in inputs.artifacts.values() for one in many):
        return "an input artifact is remote, so that its content is not known"
    kinds = {p.kind for argument in container.command for p, _ in placeholders_of(argument)}
    if "identity" in kinds:
        return "the command names its own run"
    return ""


def complete(outputs: Values) -> bool:
    """Whether every artifact of a finished task can be compared with what is there later."""
    return all(one.digest not in {None, ABSENT} for one in _all(outputs))


def _all(values: Values) -> Sequence[Artifact]:
    return [artifact for artifacts in values.artifacts.values() for artifact in artifacts]
