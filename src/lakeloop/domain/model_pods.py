"""The pods that answer for a model on a cluster: how many, and what each may take."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from lakeloop.domain.base import Frozen

Cpu = Annotated[str, StringConstraints(pattern=r"^([0-9]+m|[0-9]+(\.[0-9]{1,3})?)$")]
Memory = Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+)?(k|M|G|T|Ki|Mi|Gi|Ti)?$")]

_FACTORS: dict[str, Decimal | int] = {
    "": 1,
    "m": Decimal("0.001"),
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
}


class ModelPods(Frozen):
    """Pods of one model version, as Kubernetes quantities. On one machine this section changes nothing."""

    replicas: int = Field(default=1, ge=1, le=1000, description="Two or more survive the loss of a node.")
    max_replicas: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="More than `replicas`: a HorizontalPodAutoscaler adds pods by their use of cpu "
        "(the cluster needs a metrics server). Default: a fixed number.",
    )
    cpu: Cpu = Field(default="100m", description="Request.")
    cpu_limit: Cpu = "1"
    memory: Memory = Field(default="256Mi", description="Request.")
    memory_limit: Memory = "1Gi"

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for name, low, high in (
            ("cpu", self.cpu, self.cpu_limit),
            ("memory", self.memory, self.memory_limit),
        ):
            if amount(low) > amount(high):
                raise ValueError(f"{name} {low} is more than {name}_limit {high}")
        if self.max_replicas is not None and self.max_replicas < self.replicas:
            raise ValueError(f"max_replicas {self.max_replicas} is less than replicas {self.replicas}")
        return self

    @property
    def most(self) -> int:
        """Replicas at most."""
        return self.max_replicas or self.replicas


def amount(quantity: str) -> Decimal:
    """Cores or bytes of a Kubernetes quantity.

    Raises:
        KeyError: it has another suffix.
    """
    digits = quantity.rstrip("kMGTim")
    return Decimal(digits) * _FACTORS[quantity[len(digits) :]]
