"""The compiled pipeline as frozen values (protocol: KFP v2 PipelineSpec, schema 2.1.0)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from lakeloop.runners.process.conditions import Condition
from lakeloop.runners.process.placeholders import Argument, Text

MISSING: Any = object()
"""Stands for a default that was not given; `None` is a value."""


@dataclass(frozen=True, slots=True)
class ParameterInput:
    """A declared input parameter."""

    type: str
    optional: bool = False
    default: Any = MISSING
    literals: tuple[Any, ...] = ()

    @property
    def required(self) -> bool:
        """Whether a value has to be given."""
        return not self.optional and self.default is MISSING


@dataclass(frozen=True, slots=True)
class ArtifactInput:
    """A declared input artifact."""

    schema: Mapping[str, str]
    is_list: bool = False
    optional: bool = False


@dataclass(frozen=True, slots=True)
class ArtifactOutput:
    """A declared output artifact."""

    schema: Mapping[str, str]
    is_list: bool = False


@dataclass(frozen=True, slots=True)
class Constant:
    """A value written in the pipeline; a text may hold placeholders (an f-string of the author)."""

    value: Any
    text: Text | None = None


@dataclass(frozen=True, slots=True)
class FromInput:
    """An input of the enclosing DAG."""

    name: str


@dataclass(frozen=True, slots=True)
class FromTask:
    """An output of a task of the same DAG."""

    task: str
    output: str


@dataclass(frozen=True, slots=True)
class FinalStatus:
    """How a task of the same DAG ended."""

    task: str


ParameterSource = Constant | FromInput | FromTask | FinalStatus
ArtifactSource = FromInput | FromTask


@dataclass(frozen=True, slots=True)
class ParameterBinding:
    """Where a task's input parameter comes from, and the struct keys selected from it."""

    source: ParameterSource
    selector: str = ""


@dataclass(frozen=True, slots=True)
class Retry:
    """Waits between attempts: `first_seconds * factor**k`, at most `longest_seconds`."""

    count: int = 0
    first_seconds: float = 0.0
    factor: float = 2.0
    longest_seconds: float = 3600.0

    def delay_seconds(self, failed_attempts: int) -> float:
        """The wait after that many failed attempts (1 or more)."""
        return float(min(self.first_seconds * self.factor ** (failed_attempts - 1), self.longest_seconds))


@dataclass(frozen=True, slots=True)
class Loop:
    """A ParallelFor: the input that receives each item, and where the items come from."""

    item_input: str
    items: tuple[Any, ...] | None
    items_input: str
    parallelism: int


@dataclass(frozen=True, slots=True)
class Task:
    """A node of a DAG."""

    name: str
    display_name: str
    component: str
    parameters: Mapping[str, ParameterBinding]
    artifacts: Mapping[str, ArtifactSource]
    depends_on: tuple[str, ...]
    caching: bool | None
    cache_key: str
    condition: Condition | None
    when: Literal["succeeded", "completed"]
    loop: Loop | None
    retry: Retry


@dataclass(frozen=True, slots=True)
class Dag:
    """Tasks, and the outputs a DAG takes from them (several sources: the one that ran)."""

    tasks: Mapping[str, Task]
    parameters: Mapping[str, tuple[FromTask, ...]]
    artifacts: Mapping[str, tuple[FromTask, ...]]


@dataclass(frozen=True, slots=True)
class Component:
    """An interface, and the DAG or the executor behind it."""

    name: str
    parameters: Mapping[str, ParameterInput]
    artifacts: Mapping[str, ArtifactInput]
    output_parameters: Mapping[str, str]
    output_artifacts: Mapping[str, ArtifactOutput]
    dag: Dag | None
    executor: str


@dataclass(frozen=True, slots=True)
class EnvironmentFrom:
    """Variables filled from a named secret or config map: variable -> key."""

    kind: Literal["secret", "config map"]
    name: ParameterBinding
    variables: Mapping[str, str]
    optional: bool


@dataclass(frozen=True, slots=True)
class Container:
    """A program to start."""

    image: str
    command: tuple[Argument, ...]
    env: Mapping[str, str]
    timeout_seconds: float | None = None
    environment_from: tuple[EnvironmentFrom, ...] = ()
    spec: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Importer:
    """An artifact that exists already: its URI is a text, or an input parameter."""

    uri: Text | None
    uri_input: str
    schema: Mapping[str, str]
    metadata: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Everything that one run needs to know about the compiled file."""

    name: str
    root: Component
    components: Mapping[str, Component]
    executors: Mapping[str, Container | Importer]
    deadline_seconds: float | None
    digest: str
    not_applied: tuple[str, ...] = ()
