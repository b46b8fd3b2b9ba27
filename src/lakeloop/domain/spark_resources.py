"""What Spark may take of a cluster for one use case; on one machine nothing reads it."""

from __future__ import annotations

from math import ceil
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from lakeloop.domain.base import Frozen

OVERHEAD_SHARE, LEAST_OVERHEAD_MIB = 0.4, 384
Quantity = Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+)?m?$")]


class Toleration(Frozen):
    """One of a pod's `tolerations`."""

    key: str = ""
    operator: Literal["Equal", "Exists"] = "Equal"
    value: str = ""
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = ""

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if self.operator == "Exists" and self.value:
            raise ValueError("operator Exists takes no value")
        if not self.key and self.operator == "Equal":
            raise ValueError("an empty key needs operator Exists")
        return self


class Executors(Frozen):
    """Spark's executor pods: how many, and how large each of them."""

    min: int = Field(default=1, ge=0, le=10_000, description="Kept while the step runs.")
    max: int = Field(
        default=2, ge=1, le=10_000, description="Asked for while tasks wait. Equal to min: a fixed number."
    )
    cores: int = Field(default=1, ge=1, le=256, description="Tasks at a time in one executor.")
    cpu_request: Quantity | None = Field(default=None, description="Kubernetes quantity; default: `cores`.")
    cpu_limit: Quantity | None = Field(default=None, description="Kubernetes quantity; default: none.")
    memory_mib: int = Field(default=1024, ge=512, description="Java heap of one executor.")
    memory_overhead_mib: int | None = Field(
        default=None,
        ge=128,
        description="Memory beside the heap: Python workers, Arrow, network buffers. Default: 40 % of memory_mib, "
        "at least 384. The pod's limit is the sum of both.",
    )
    idle_seconds: int = Field(
        default=60, ge=1, description="An executor above min without work ends after this."
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"min {self.min} is greater than max {self.max}")
        return self

    @property
    def overhead_mib(self) -> int:
        """Memory beside the heap, declared or by the rule."""
        return self.memory_overhead_mib or max(LEAST_OVERHEAD_MIB, ceil(self.memory_mib * OVERHEAD_SHARE))

    @property
    def limit_mib(self) -> int:
        """The pod's memory limit."""
        return self.memory_mib + self.overhead_mib


class SparkResources(Frozen):
    """Executors on a cluster: number, size, place, patience. On one machine this section changes nothing."""

    executors: Executors = Executors()
    node_selector: dict[str, str] = Field(default_factory=dict, description="Labels a node must have.")
    tolerations: tuple[Toleration, ...] = ()
    priority_class: str = Field(default="", description="PriorityClass of executor pods.")
    pending_timeout_seconds: int = Field(
        default=300,
        ge=5,
        le=86_400,
        description="A step ends, with the reason, when for so long fewer executors run than executors.min, or none.",
    )
