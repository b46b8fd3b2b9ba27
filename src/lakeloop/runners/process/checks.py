"""What has to hold inside a compiled pipeline before anything starts: every reference leads somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Final

from lakeloop.runners.process import ir
from lakeloop.runners.process.findings import Finding
from lakeloop.runners.process.placeholders import Placeholder, Text, guards_of, placeholders_of

_SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_RECOMPILE: Final = "compile the pipeline again with the KFP SDK"
_REWIRE: Final = (
    "KFP's compiler left it unwired: pass a loop item as an input of its own, neither inside an f-string "
    "nor through a condition or exit handler around the loop"
)


def check_pipeline(pipeline: ir.Pipeline) -> Iterator[Finding]:
    """All broken references and unsupported shapes, each with its place."""
    users = _executor_users(pipeline)
    for name, component in {"root": pipeline.root, **pipeline.components}.items():
        place = "root" if name == "root" else f"components.{name}"
        yield from _check_names(component, place)
        if component.dag:
            yield from _check_dag(component, component.dag, pipeline, f"{place}.dag")
        elif component.executor not in pipeline.executors:
            yield Finding(place, f"executor {component.executor!r} does not exist", _RECOMPILE)
        else:
            task = users.get(component.executor, "?")
            executor = pipeline.executors[component.executor]
            yield from _check_executor(component, executor, f"task {task} ({component.executor})")
    yield from _check_recursion(pipeline)


def _executor_users(pipeline: ir.Pipeline) -> dict[str, str]:
    return {
        pipeline.components[task.component].executor: task.name
        for component in (pipeline.root, *pipeline.components.values())
        for task in (component.dag.tasks.values() if component.dag else ())
        if task.component in pipeline.components
    }


def _check_names(component: ir.Component, place: str) -> Iterator[Finding]:
    tasks = component.dag.tasks if component.dag else {}
    for name in (*tasks, *component.output_parameters, *component.output_artifacts):
        if not _SAFE_NAME.fullmatch(name):
            yield Finding(
                f"{place}: {name!r}", "the name is not fit for a folder", "use letters, digits, - and _"
            )


def _check_dag(component: ir.Component, dag: ir.Dag, pipeline: ir.Pipeline, place: str) -> Iterator[Finding]:
    for task in dag.tasks.values():
        where = f"{place}.tasks.{task.name}"
        target = pipeline.components.get(task.component)
        if target is None:
            yield Finding(where, f"component {task.component!r} does not exist", _RECOMPILE)
            continue
        yield from _check_sources(task, component, dag, pipeline, where)
        yield from _check_task(task, target, where)
    for name, sources in {**dag.parameters, **dag.artifacts}.items():
        for source in sources:
            yield from _check_output(source, dag, pipeline, f"{place}.outputs.{name}")
    yield from _check_order(dag, place)


def _check_order(dag: ir.Dag, place: str) -> Iterator[Finding]:
    unknown = [(t.name, d) for t in dag.tasks.values() for d in t.depends_on if d not in dag.tasks]
    for name, dependency in unknown:
        yield Finding(f"{place}.tasks.{name}", f"task {dependency!r} does not exist", _RECOMPILE)
    try:
        TopologicalSorter({t.name: t.depends_on for t in dag.tasks.values()}).prepare()
    except CycleError as error:
        yield Finding(
            place, f"tasks depend on each other in a circle: {' -> '.join(error.args[1])}", _RECOMPILE
        )


def _check_sources(
    task: ir.Task, component: ir.Component, dag: ir.Dag, pipeline: ir.Pipeline, place: str
) -> Iterator[Finding]:
    for name, binding in task.parameters.items():
        yield from _check_source(
            binding.source, component.parameters, dag, pipeline, f"{place}.inputs.{name}"
        )
        if isinstance(binding.source, ir.Constant) and binding.source.text:
            yield from _check_text(binding.source.text, task.parameters, f"{place}.inputs.{name}")
    for name, source in task.artifacts.items():
        yield from _check_source(source, component.artifacts, dag, pipeline, f"{place}.inputs.{name}")


def _check_source(
    source: ir.ParameterSource,
    inputs: Mapping[str, object],
    dag: ir.Dag,
    pipeline: ir.Pipeline,
    place: str,
) -> Iterator[Finding]:
    if isinstance(source, ir.FromInput) and source.name not in inputs:
        yield Finding(place, f"the enclosing DAG has no input {source.name!r}", _REWIRE)
    elif isinstance(source, ir.FinalStatus) and source.task not in dag.tasks:
        yield Finding(place, f"task {source.task!r} does not exist", _RECOMPILE)
    elif isinstance(source, ir.FromTask):
        yield from _check_output(source, dag, pipeline, place)


def _check_output(source: ir.FromTask, dag: ir.Dag, pipeline: ir.Pipeline, place: str) -> Iterator[Finding]:
    producer = dag.tasks.get(source.task)
    target = pipeline.components.get(producer.component) if producer else None
    outputs = {**target.output_parameters, **target.output_artifacts} if target else {}
    if source.output not in outputs:
        yield Finding(place, f"task {source.task!r} has no output {source.output!r}", _REWIRE)


def _check_text(text: Text, inputs: Mapping[str, object], place: str) -> Iterator[Finding]:
    for part in text.parts:
        if isinstance(part, Placeholder) and part.kind == "input_parameter" and part.name not in inputs:
            yield Finding(place, f"{part.text} names no input of the task", _RECOMPILE)
        elif isinstance(part, Placeholder) and part.kind not in {"input_parameter", "identity"}:
            yield Finding(place, f"{part.text} cannot be used in a task's argument", "pass it as an input")


def _check_task(task: ir.Task, target: ir.Component, place: str) -> Iterator[Finding]:
    given = {*task.parameters, *task.artifacts} | ({task.loop.item_input} if task.loop else set())
    required = [n for n, spec in target.parameters.items() if spec.required]
    required += [n for n, spec in target.artifacts.items() if not spec.optional]
    for name in required:
        if name not in given:
            yield Finding(
                place, f"input {name!r} of {target.name} gets no value", "give it, or give it a default"
            )
    for name in sorted(task.condition.input_names() - task.parameters.keys()) if task.condition else ():
        yield Finding(f"{place}.triggerPolicy.condition", f"{name!r} is no input of the task", _RECOMPILE)
    if task.loop and task.loop.items_input and task.loop.items_input not in task.parameters:
        yield Finding(place, f"loop items {task.loop.items_input!r} are no input of the task", _RECOMPILE)
    if target.dag and task.retry.count:
        yield Finding(
            f"{place}.retryPolicy", "a group of tasks cannot be retried here", "set_retry on each task in it"
        )


def _check_executor(
    component: ir.Component, executor: ir.Container | ir.Importer, place: str
) -> Iterator[Finding]:
    for name, artifact in component.output_artifacts.items():
        if artifact.is_list:
            yield Finding(
                f"{place}: output {name}", "a list of output artifacts cannot be honoured", "use one folder"
            )
    if isinstance(executor, ir.Importer):
        if executor.uri is None and executor.uri_input not in component.parameters:
            yield Finding(place, "the importer has no artifact URI", _RECOMPILE)
        return
    for argument in executor.command:
        for name in guards_of(argument):
            if name not in component.parameters and name not in component.artifacts:
                yield Finding(place, f"IfPresent names {name!r}, which is no input", "name an input")
        for placeholder, guarded in placeholders_of(argument):
            yield from _check_placeholder(placeholder, component, place, guarded=guarded)


def _check_placeholder(
    placeholder: Placeholder, component: ir.Component, place: str, *, guarded: bool
) -> Iterator[Finding]:
    known = {
        "input_parameter": component.parameters,
        "input_artifacts": component.artifacts,
        "input_path": component.artifacts,
        "input_uri": component.artifacts,
        "input_metadata": component.artifacts,
        "output_file": component.output_parameters,
        "output_path": component.output_artifacts,
        "output_uri": component.output_artifacts,
    }.get(placeholder.kind)
    if known is not None and placeholder.name not in known:
        yield Finding(place, f"{placeholder.text} names nothing that {component.name} declares", "declare it")
    spec = component.parameters.get(placeholder.name)
    if placeholder.kind == "input_parameter" and spec and spec.type != "TASK_FINAL_STATUS":
        no_default = spec.default is ir.MISSING or spec.default is None
        if spec.optional and no_default and not guarded:
            fix = "give the input a default, or wrap it in IfPresentPlaceholder"
            yield Finding(place, f"{placeholder.text} may have no value", fix)


def _check_recursion(pipeline: ir.Pipeline) -> Iterator[Finding]:
    uses = {
        name: {task.component for task in component.dag.tasks.values()} if component.dag else set()
        for name, component in pipeline.components.items()
    }
    try:
        TopologicalSorter(uses).prepare()
    except CycleError as error:
        yield Finding(
            "components", f"components contain each other: {' -> '.join(error.args[1])}", _RECOMPILE
        )
