"""Compiled YAML -> `ir.Pipeline`, refusing what this runner cannot honour."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from lakeloop.runners.process import ir
from lakeloop.runners.process.conditions import ConditionError, parse_condition
from lakeloop.runners.process.placeholders import PlaceholderError, parse_text
from lakeloop.runners.process.values import PARAMETER_TYPES, canonical

_STRATEGIES: Final = {
    "": "succeeded",
    "TRIGGER_STRATEGY_UNSPECIFIED": "succeeded",
    "ALL_UPSTREAM_TASKS_SUCCEEDED": "succeeded",
    "ALL_UPSTREAM_TASKS_COMPLETED": "completed",
}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)s")
_SELECTOR = re.compile(r"(parseJson\(string_value\)(?:\[\"[^\"\[\]]+\"\])+)")
T = TypeVar("T")


class ReadingError(ValueError):
    """The document does not say what the format demands; names the place."""

    def __init__(self, place: str, problem: str) -> None:
        super().__init__(f"{place}: {problem}")
        self.place, self.problem = place, problem


def read_component(name: str, spec: Mapping[str, Any]) -> ir.Component:
    """One component: interface, then DAG or executor label.

    Raises:
        ReadingError: names the field that cannot be read.
    """
    place = "root" if name == "root" else f"components.{name}"
    inputs, outputs = spec.get("inputDefinitions") or {}, spec.get("outputDefinitions") or {}
    if not spec.get("dag") and not spec.get("executorLabel"):
        raise ReadingError(place, "neither dag nor executorLabel")
    return ir.Component(
        name=name,
        parameters=_each(inputs.get("parameters"), _parameter_input, f"{place}.inputDefinitions.parameters"),
        artifacts=_each(inputs.get("artifacts"), _artifact_input, f"{place}.inputDefinitions.artifacts"),
        output_parameters=_each(
            outputs.get("parameters"), _parameter_type, f"{place}.outputDefinitions.parameters"
        ),
        output_artifacts=_each(
            outputs.get("artifacts"), _artifact_output, f"{place}.outputDefinitions.artifacts"
        ),
        dag=_dag(spec["dag"], f"{place}.dag") if spec.get("dag") else None,
        executor=spec.get("executorLabel") or "",
    )


def _each(specs: Mapping[str, Any] | None, read: Callable[[Any, str], T], place: str) -> dict[str, T]:
    return {name: read(spec or {}, f"{place}.{name}") for name, spec in (specs or {}).items()}


def _parameter_type(spec: Mapping[str, Any], place: str) -> str:
    kind = spec.get("parameterType") or ""
    if kind not in PARAMETER_TYPES:
        raise ReadingError(place, f"parameter type {kind or 'missing'} is not supported")
    return str(kind)


def _parameter_input(spec: Mapping[str, Any], place: str) -> ir.ParameterInput:
    return ir.ParameterInput(
        type=_parameter_type(spec, place),
        optional=bool(spec.get("isOptional")),
        default=canonical(spec["defaultValue"]) if "defaultValue" in spec else ir.MISSING,
        literals=tuple(canonical(value) for value in spec.get("literals") or ()),
    )


def _artifact_input(spec: Mapping[str, Any], _: str) -> ir.ArtifactInput:
    return ir.ArtifactInput(
        dict(spec.get("artifactType") or {}), bool(spec.get("isArtifactList")), bool(spec.get("isOptional"))
    )


def _artifact_output(spec: Mapping[str, Any], _: str) -> ir.ArtifactOutput:
    return ir.ArtifactOutput(dict(spec.get("artifactType") or {}), bool(spec.get("isArtifactList")))


def _dag(spec: Mapping[str, Any], place: str) -> ir.Dag:
    outputs = spec.get("outputs") or {}
    return ir.Dag(
        tasks={
            name: _task(name, task or {}, f"{place}.tasks.{name}")
            for name, task in (spec.get("tasks") or {}).items()
        },
        parameters=_each(outputs.get("parameters"), _output_sources, f"{place}.outputs.parameters"),
        artifacts=_each(outputs.get("artifacts"), _output_sources, f"{place}.outputs.artifacts"),
    )


def _output_sources(spec: Mapping[str, Any], place: str) -> tuple[ir.FromTask, ...]:
    if "artifactSelectors" in spec:
        selectors, key = spec["artifactSelectors"], "outputArtifactKey"
    elif "valueFromOneof" in spec:
        selectors, key = spec["valueFromOneof"].get("parameterSelectors") or [], "outputParameterKey"
    else:
        selectors, key = [spec.get("valueFromParameter") or {}], "outputParameterKey"
    try:
        return tuple(ir.FromTask(one["producerSubtask"], one[key]) for one in selectors)
    except KeyError as error:
        raise ReadingError(place, f"{error.args[0]} is missing") from None


def _task(name: str, spec: Mapping[str, Any], place: str) -> ir.Task:
    inputs, trigger = spec.get("inputs") or {}, spec.get("triggerPolicy") or {}
    parameters = _each(inputs.get("parameters"), read_binding, f"{place}.inputs.parameters")
    artifacts = _each(inputs.get("artifacts"), _artifact_source, f"{place}.inputs.artifacts")
    strategy = trigger.get("strategy") or ""
    if strategy not in _STRATEGIES:
        raise ReadingError(f"{place}.triggerPolicy.strategy", f"unknown strategy {strategy}")
    caching = spec.get("cachingOptions")
    return ir.Task(
        name=name,
        display_name=(spec.get("taskInfo") or {}).get("name") or name,
        component=(spec.get("componentRef") or {}).get("name") or "",
        parameters=parameters,
        artifacts=artifacts,
        depends_on=_dependencies(spec, parameters, artifacts),
        caching=None if caching is None else bool(caching.get("enableCache")),
        cache_key=(caching or {}).get("cacheKey") or "",
        condition=_condition(trigger.get("condition") or "", f"{place}.triggerPolicy.condition"),
        when="completed" if _STRATEGIES[strategy] == "completed" else "succeeded",
        loop=_loop(spec, place) if spec.get("parameterIterator") else None,
        retry=_retry(spec.get("retryPolicy") or {}, f"{place}.retryPolicy"),
    )


def _dependencies(
    spec: Mapping[str, Any],
    parameters: Mapping[str, ir.ParameterBinding],
    artifacts: Mapping[str, ir.ArtifactSource],
) -> tuple[str, ...]:
    sources = [*(binding.source for binding in parameters.values()), *artifacts.values()]
    producers = [source.task for source in sources if isinstance(source, (ir.FromTask, ir.FinalStatus))]
    return tuple(dict.fromkeys([*(spec.get("dependentTasks") or []), *producers]))


def read_binding(spec: Mapping[str, Any], place: str) -> ir.ParameterBinding:
    """Where a parameter comes from."""
    selector = spec.get("parameterExpressionSelector") or ""
    if selector and not _SELECTOR.fullmatch(selector):
        raise ReadingError(f"{place}.parameterExpressionSelector", f"unknown expression {selector!r}")
    return ir.ParameterBinding(_parameter_source(spec, place), selector)


def _parameter_source(spec: Mapping[str, Any], place: str) -> ir.ParameterSource:
    if "taskOutputParameter" in spec:
        return _from_task(spec["taskOutputParameter"], "outputParameterKey", place)
    if "componentInputParameter" in spec:
        return ir.FromInput(spec["componentInputParameter"])
    if "taskFinalStatus" in spec:
        return ir.FinalStatus(spec["taskFinalStatus"].get("producerTask") or "")
    if "constant" in (spec.get("runtimeValue") or {}):
        return _constant(spec["runtimeValue"]["constant"], place)
    raise ReadingError(place, "the input has no source")


def _constant(value: Any, place: str) -> ir.Constant:
    if not isinstance(value, str) or "{{$" not in value:
        return ir.Constant(canonical(value))
    try:
        return ir.Constant(value, parse_text(value))
    except PlaceholderError as error:
        raise ReadingError(place, str(error)) from None


def _artifact_source(spec: Mapping[str, Any], place: str) -> ir.ArtifactSource:
    if "taskOutputArtifact" in spec:
        return _from_task(spec["taskOutputArtifact"], "outputArtifactKey", place)
    if "componentInputArtifact" in spec:
        return ir.FromInput(spec["componentInputArtifact"])
    raise ReadingError(place, "the input has no source")


def _from_task(spec: Mapping[str, Any], key: str, place: str) -> ir.FromTask:
    if not spec.get("producerTask") or not spec.get(key):
        raise ReadingError(place, f"producerTask and {key} are both needed")
    return ir.FromTask(spec["producerTask"], spec[key])


def _condition(text: str, place: str) -> Any:
    if not text:
        return None
    try:
        return parse_condition(text)
    except ConditionError as error:
        fix = "compare named outputs or inputs with texts, numbers or booleans of the same type"
        raise ReadingError(place, f"{error} -> {fix}") from None


def _loop(spec: Mapping[str, Any], place: str) -> ir.Loop:
    iterator, where = spec["parameterIterator"], f"{place}.parameterIterator"
    items = iterator.get("items") or {}
    if not iterator.get("itemInput") or not ("raw" in items or items.get("inputParameter")):
        raise ReadingError(where, "itemInput and items.raw or items.inputParameter are needed")
    return ir.Loop(
        item_input=iterator["itemInput"],
        items=_raw_items(items["raw"], where) if "raw" in items else None,
        items_input=items.get("inputParameter") or "",
        parallelism=int((spec.get("iteratorPolicy") or {}).get("parallelismLimit") or 0),
    )


def _raw_items(raw: str, place: str) -> tuple[Any, ...]:
    try:
        items = json.loads(raw)
    except (TypeError, ValueError):
        items = None
    if not isinstance(items, list):
        raise ReadingError(f"{place}.items.raw", "a JSON list is expected")
    return tuple(canonical(item) for item in items)


def _retry(spec: Mapping[str, Any], place: str) -> ir.Retry:
    return ir.Retry(
        count=int(spec.get("maxRetryCount") or 0),
        first_seconds=_seconds(spec.get("backoffDuration") or "0s", place),
        factor=float(spec.get("backoffFactor") or 2.0),
        longest_seconds=_seconds(spec.get("backoffMaxDuration") or "3600s", place),
    )


def _seconds(text: Any, place: str) -> float:
    match = _DURATION.fullmatch(str(text))
    if not match:
        raise ReadingError(place, f"{text!r} is not a duration in seconds")
    return float(match.group(1))
