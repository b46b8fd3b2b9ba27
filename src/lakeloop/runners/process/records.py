"""Values and artifacts as JSON documents, for result markers and the cache."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from lakeloop.runners.process.content import content_digest
from lakeloop.runners.process.inputs import Artifact, Values


def to_record(values: Values) -> dict[str, Any]:
    """Outputs as a JSON document."""
    artifacts = {name: [asdict(one) for one in many] for name, many in values.artifacts.items()}
    return {"parameters": dict(values.parameters), "artifacts": artifacts}


def from_record(record: Mapping[str, Any]) -> Values:
    """Outputs from their JSON document."""
    artifacts = {name: [Artifact(**one) for one in many] for name, many in record["artifacts"].items()}
    return Values(record["parameters"], artifacts)


def intact(values: Values) -> bool:
    """Whether every local artifact is still what it was when its task ended."""
    return all(
        one.digest is None or content_digest(one.uri) == one.digest
        for many in values.artifacts.values()
        for one in many
    )


def summary(values: Values) -> dict[str, Any]:
    """Parameter values, and the URI of each artifact (a list when there are several)."""
    uris = {name: [one.uri for one in many] for name, many in values.artifacts.items()}
    return {**values.parameters, **{name: u[0] if len(u) == 1 else u for name, u in uris.items()}}
