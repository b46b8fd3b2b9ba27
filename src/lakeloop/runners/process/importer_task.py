"""The importer: an artifact that exists already enters the run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lakeloop.runners.process import ir
from lakeloop.runners.process.content import ABSENT, content_digest, local_path
from lakeloop.runners.process.events import TaskFailed, TaskFinished
from lakeloop.runners.process.inputs import Artifact, Values
from lakeloop.runners.process.options import TaskResult
from lakeloop.runners.process.placeholders import Context, PlaceholderError, parse_text, render_text
from lakeloop.runners.process.records import summary
from lakeloop.runners.process.session import Outcome, Session
from lakeloop.runners.process.values import to_text


def run_importer(session: Session, path: str, task: ir.Task, inputs: Values) -> Outcome:
    """Make the artifact; a local one has to exist."""
    component = session.pipeline.components[task.component]
    importer = session.pipeline.executors[component.executor]
    if not isinstance(importer, ir.Importer):
        raise TypeError(f"{component.executor} is no importer")
    told = {"inputs": {"parameterValues": dict(inputs.parameters), "artifacts": {}}, "outputs": {}}
    context = Context(told, session.identity_of(path, task.name))
    try:
        artifact = _artifact(session, component, importer, context)
    except PlaceholderError as error:
        return _fail(session, path, task, str(error))
    if artifact.digest == ABSENT:
        return _fail(session, path, task, f"nothing to import at {artifact.uri}")
    outputs = Values({}, {artifact.name: [artifact]})
    session.results[path] = TaskResult("succeeded", outputs=summary(outputs))
    session.listener(TaskFinished(path, task.display_name, 0.0, summary(outputs)))
    return Outcome("succeeded", outputs)


def _artifact(session: Session, component: ir.Component, importer: ir.Importer, context: Context) -> Artifact:
    values = context.executor_input["inputs"]["parameterValues"]
    uri = render_text(importer.uri, context) if importer.uri else to_text(values.get(importer.uri_input))
    path = local_path(uri)
    if path is not None:
        uri = str(session.options.project_root / path)
    name = next(iter(component.output_artifacts), "artifact")
    return Artifact(name, uri, importer.schema, _fill(importer.metadata, context), content_digest(uri))


def _fill(value: Any, context: Context) -> Any:
    if isinstance(value, str):
        return render_text(parse_text(value), context)
    if isinstance(value, Mapping):
        return {_fill(key, context): _fill(item, context) for key, item in value.items()}
    return [_fill(item, context) for item in value] if isinstance(value, list) else value


def _fail(session: Session, path: str, task: ir.Task, error: str) -> Outcome:
    session.results[path] = TaskResult("failed", error=error)
    session.failures.append((path, 1))
    session.listener(TaskFailed(path, task.display_name, 0.0, error, 1, (), None))
    return Outcome("failed", error=error)
