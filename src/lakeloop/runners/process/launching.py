"""The launcher's duties: what a task is told, and what is taken from it when it has ended."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from lakeloop.runners.process import ir
from lakeloop.runners.process.content import content_digest, local_path
from lakeloop.runners.process.inputs import Artifact, Values
from lakeloop.runners.process.values import ValueMismatchError, canonical, coerce, parse_output

LOG_TAIL_LINES: Final = 15
_TAIL_BYTES: Final = 64_000
_ERROR_MARK: Final = "error: "


class OutputError(ValueError):
    """The step ended well but did not leave what it declares."""


def executor_input(component: ir.Component, inputs: Values, folder: Path) -> dict[str, Any]:
    """What the task is told (protocol: ExecutorInput); every output lies below `folder`."""
    outputs = folder / "outputs"
    return {
        "inputs": {
            "parameterValues": dict(inputs.parameters),
            "artifacts": {
                name: {"artifacts": [artifact.runtime() for artifact in artifacts]}
                for name, artifacts in inputs.artifacts.items()
            },
        },
        "outputs": {
            "parameters": {name: {"outputFile": str(outputs / name)} for name in component.output_parameters},
            "artifacts": {
                name: {"artifacts": [_planned(name, spec, outputs).runtime()]}
                for name, spec in component.output_artifacts.items()
            },
            "outputFile": str(folder / "executor_output.json"),
        },
    }


def _planned(name: str, spec: ir.ArtifactOutput, outputs: Path) -> Artifact:
    return Artifact(name, str(outputs / name), spec.schema, {}, None)


def artifact_paths(inputs: Values, told: Mapping[str, Any]) -> dict[str, str]:
    """Local path by URI, for every artifact that has one."""
    uris = [artifact.uri for artifacts in inputs.artifacts.values() for artifact in artifacts]
    uris += [one["artifacts"][0]["uri"] for one in told["outputs"]["artifacts"].values()]
    return {uri: str(path) for uri in uris if (path := local_path(uri)) is not None}


def take_outputs(component: ir.Component, told: Mapping[str, Any]) -> Values:
    """Collect what the task left.

    Raises:
        OutputError: a parameter file is missing or of the wrong type, or executor_output.json cannot be used.
    """
    said = _executor_output(Path(told["outputs"]["outputFile"]), component)
    parameters = {
        name: _parameter(name, kind, said, Path(told["outputs"]["parameters"][name]["outputFile"]))
        for name, kind in component.output_parameters.items()
    }
    artifacts = {
        name: [_artifact(one["artifacts"][0], said["artifacts"].get(name))]
        for name, one in told["outputs"]["artifacts"].items()
    }
    return Values(parameters, artifacts)


def _executor_output(path: Path, component: ir.Component) -> dict[str, Any]:
    if not path.exists():
        return {"parameterValues": {}, "artifacts": {}}
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        found = {"parameterValues": dict(said.get("parameterValues") or {})}
        found["artifacts"] = {
            name: (one.get("artifacts") or [{}])[0] for name, one in (said.get("artifacts") or {}).items()
        }
    except (ValueError, TypeError, AttributeError, LookupError) as error:
        raise OutputError(f"{path} is not an executor output: {error}") from None
    unknown = [n for n in found["parameterValues"] if n not in component.output_parameters]
    unknown += [n for n in found["artifacts"] if n not in component.output_artifacts]
    if unknown:
        raise OutputError(f"{path} names outputs that are not declared: {', '.join(unknown)}")
    return found


def _parameter(name: str, kind: str, said: Mapping[str, Any], path: Path) -> Any:
    try:
        if name in said["parameterValues"]:
            return coerce(said["parameterValues"][name], kind)
        return parse_output(path.read_text(encoding="utf-8"), kind)
    except FileNotFoundError:
        raise OutputError(f"the step ended without writing output parameter {name!r} to {path}") from None
    except (ValueMismatchError, OSError, UnicodeDecodeError) as error:
        raise OutputError(f"output parameter {name!r}: {error}") from None


def _artifact(planned: Mapping[str, Any], said: Mapping[str, Any] | None) -> Artifact:
    said = said or {}
    uri = str(said.get("uri") or planned["uri"])
    metadata = canonical({**planned["metadata"], **(said.get("metadata") or {})})
    return Artifact(planned["name"], uri, planned["type"], metadata, content_digest(uri))


def log_tail(path: Path, lines: int = LOG_TAIL_LINES) -> tuple[str, ...]:
    """The last lines that are worth showing; only the `error: ` line when the step ended with one."""
    if not path.exists():
        return ()
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        text = stream.read().decode(errors="replace")
    kept = [
        line.rstrip() for line in text.splitlines() if line.strip() and not line.startswith("::progress::")
    ]
    errors = [line for line in kept if line.startswith(_ERROR_MARK)]
    return (errors[-1],) if errors else tuple(kept[-lines:])


def failure_text(tail: Sequence[str], problem: str) -> str:
    """One line on why a task failed: its own `error: ` line, or what was seen from outside."""
    if len(tail) == 1 and tail[0].startswith(_ERROR_MARK):
        return tail[0].removeprefix(_ERROR_MARK)
    return problem
