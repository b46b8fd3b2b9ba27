"""What a task receives: values looked up in the enclosing scope and in the tasks before it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lakeloop.runners.process import ir
from lakeloop.runners.process.placeholders import Placeholder, Text
from lakeloop.runners.process.values import ValueMismatchError, canonical, coerce, to_text

_SELECTED_KEY = re.compile(r"\[\"([^\"\[\]]+)\"\]")


@dataclass(frozen=True, slots=True)
class Artifact:
    """An artifact that exists, or that its producer did not write.

    Attributes:
        digest: hex SHA-256 of the content; `absent` when nothing was written; None when it is remote.
    """

    name: str
    uri: str
    schema: Mapping[str, str]
    metadata: Mapping[str, Any]
    digest: str | None

    def runtime(self) -> dict[str, Any]:
        """The artifact in an executor input (protocol: RuntimeArtifact)."""
        return {
            "name": self.name,
            "type": dict(self.schema),
            "uri": self.uri,
            "metadata": dict(self.metadata),
        }


@dataclass(frozen=True, slots=True)
class Values:
    """Parameters by name, and lists of artifacts by name: what a scope holds, what a task gets or gives."""

    parameters: Mapping[str, Any] = field(default_factory=dict)
    artifacts: Mapping[str, Sequence[Artifact]] = field(default_factory=dict)


class InputError(ValueError):
    """A task's input cannot be had; the task fails with this reason."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Everything that a task's inputs may come from."""

    scope: Values
    outputs: Mapping[str, Values]
    final_statuses: Mapping[str, Mapping[str, Any]]
    identity: Mapping[str, str]


def resolve_inputs(task: ir.Task, target: ir.Component, around: Surroundings) -> Values:
    """Values for a task's inputs, defaults applied, types checked.

    Inputs that only exist to feed an f-string stay among the parameters, as in KFP.

    Raises:
        InputError: a value is missing or has another type than declared.
    """
    parameters = _plain_parameters(task, target, around)
    for name, binding in task.parameters.items():
        if isinstance(binding.source, ir.Constant) and binding.source.text:
            parameters[name] = fill(binding.source.text, parameters, around.identity)
    parameters = {name: _typed(name, value, target) for name, value in parameters.items()}
    return Values(_with_defaults(parameters, target), _artifacts(task, target, around))


def _plain_parameters(task: ir.Task, target: ir.Component, around: Surroundings) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, binding in task.parameters.items():
        if isinstance(binding.source, ir.Constant) and binding.source.text:
            continue
        value = lookup(binding, around)
        if value is not None:
            found[name] = value
        elif name not in target.parameters or target.parameters[name].required:
            raise InputError(f"input {name!r} has no value: {_explain(binding.source)}")
    return found


def _explain(source: ir.ParameterSource | ir.ArtifactSource) -> str:
    if isinstance(source, ir.FromTask):
        return f"task {source.task!r} gave no {source.output!r}"
    return f"{source} is empty"


def lookup(binding: ir.ParameterBinding, around: Surroundings) -> Any:
    """The value of one binding; None when there is none."""
    source = binding.source
    if isinstance(source, ir.Constant):
        return fill(source.text, {}, around.identity) if source.text else source.value
    if isinstance(source, ir.FromInput):
        value = around.scope.parameters.get(source.name)
    elif isinstance(source, ir.FinalStatus):
        value = dict(around.final_statuses[source.task])
    else:
        value = around.outputs.get(source.task, Values()).parameters.get(source.output)
    return _select(value, binding.selector) if binding.selector and value is not None else value


def _select(value: Any, selector: str) -> Any:
    for key in _SELECTED_KEY.findall(selector):
        value = json.loads(value) if isinstance(value, str) else value
        if not isinstance(value, Mapping) or key not in value:
            raise InputError(f"{selector} finds no {key!r} in {to_text(value)}")
        value = value[key]
    return value


def fill(text: Text, parameters: Mapping[str, Any], identity: Mapping[str, str]) -> str:
    """Fill an author's f-string from a task's inputs and the run's names.

    Raises:
        InputError: a placeholder in it has no value.
    """
    parts = [part if isinstance(part, str) else _fill_part(part, parameters, identity) for part in text.parts]
    return "".join(parts)


def _fill_part(part: Placeholder, parameters: Mapping[str, Any], identity: Mapping[str, str]) -> str:
    if part.kind == "identity":
        return identity[part.name]
    if part.kind != "input_parameter" or part.name not in parameters:
        raise InputError(f"{part.text} has no value")
    return to_text(parameters[part.name])


def _typed(name: str, value: Any, target: ir.Component) -> Any:
    spec = target.parameters.get(name)
    try:
        if spec is None:
            return canonical(value)
        typed = coerce(value, spec.type)
    except ValueMismatchError as error:
        raise InputError(f"input {name!r}: {error}") from None
    if spec.literals and typed not in spec.literals:
        allowed = ", ".join(map(to_text, spec.literals))
        raise InputError(f"input {name!r}: {to_text(typed)!r} is not one of {allowed}")
    return typed


def _with_defaults(parameters: Mapping[str, Any], target: ir.Component) -> dict[str, Any]:
    defaults = {
        name: spec.default
        for name, spec in target.parameters.items()
        if spec.default is not ir.MISSING and spec.default is not None
    }
    return {**defaults, **parameters}


def _artifacts(task: ir.Task, target: ir.Component, around: Surroundings) -> dict[str, Sequence[Artifact]]:
    found: dict[str, Sequence[Artifact]] = {}
    for name, source in task.artifacts.items():
        holder = (
            around.scope if isinstance(source, ir.FromInput) else around.outputs.get(source.task, Values())
        )
        key = source.name if isinstance(source, ir.FromInput) else source.output
        if key in holder.artifacts:
            found[name] = holder.artifacts[key]
        elif name not in target.artifacts or not target.artifacts[name].optional:
            raise InputError(f"input artifact {name!r} does not exist: {_explain(source)}")
    return found


def collect_outputs(dag: ir.Dag, outputs: Mapping[str, Values]) -> Values:
    """A DAG's outputs, from the tasks that ran; an output whose producers were all skipped stays absent."""
    parameters: dict[str, Any] = {}
    artifacts: dict[str, Sequence[Artifact]] = {}
    for name, sources in dag.parameters.items():
        for source in reversed(sources):
            if source.output in outputs.get(source.task, Values()).parameters:
                parameters[name] = outputs[source.task].parameters[source.output]
    for name, sources in dag.artifacts.items():
        for source in reversed(sources):
            if source.output in outputs.get(source.task, Values()).artifacts:
                artifacts[name] = outputs[source.task].artifacts[source.output]
    return Values(parameters, artifacts)


def collect_iterations(component: ir.Component, iterations: Sequence[Values]) -> Values:
    """A loop's outputs: parameters of all iterations as lists, artifacts of all iterations as one list.

    Raises:
        InputError: an iteration did not give an output that the loop declares.
    """
    for name in (*component.output_parameters, *component.output_artifacts):
        for index, values in enumerate(iterations):
            if name not in values.parameters and name not in values.artifacts:
                raise InputError(f"iteration {index} gave no {name!r} to collect")
    return Values(
        {name: [values.parameters[name] for values in iterations] for name in component.output_parameters},
        {
            name: [artifact for values in iterations for artifact in values.artifacts[name]]
            for name in component.output_artifacts
        },
    )


def loop_items(loop: ir.Loop, inputs: Values) -> Sequence[Any]:
    """The items a loop runs over.

    Raises:
        InputError: the parameter to loop over is not a list.
    """
    if loop.items is not None:
        return loop.items
    items = inputs.parameters.get(loop.items_input)
    if isinstance(items, str):
        try:
            items = json.loads(items)
        except ValueError:
            items = None
    if not isinstance(items, list):
        raise InputError(f"cannot loop over {loop.items_input!r}: a list is expected")
    return items


def iteration_inputs(loop: ir.Loop, inputs: Values, item: Any, target: ir.Component) -> Values:
    """One iteration's inputs: the loop's own with the item in place."""
    parameters = {**inputs.parameters, loop.item_input: _typed(loop.item_input, canonical(item), target)}
    return Values(parameters, inputs.artifacts)
