"""How an endpoint runs in a Cloudera AI workbench: keys of a use case (`deployment.cai`)."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from lakeloop.domain.base import Frozen

NO_INFERENCE_SERVICE = (
    "inference_service (Cloudera AI Inference) is not there: how a second version of an endpoint is deployed, proved "
    "without traffic and taken back is not published (docs/adr/0015-cloudera-ai.md); use blue_green, or target kserve"
)

VariableName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Percent = Annotated[float, Field(gt=0, le=100)]


class RuntimeNeeds(Frozen):
    """What the runtime must contain; the newest enabled one that does is taken."""

    editor: str = Field(default="PBJ Workbench", description="Text that the runtime's editor contains.")
    kernel: str = Field(default="Python 3.11", description="Text that its kernel contains.")
    edition: str = Field(default="Standard", description="Text that its edition contains.")
    version: str = Field(
        default="", description="Start of its full version, e.g. 2026.05; empty: the newest."
    )
    addons: tuple[str, ...] = Field(
        default=(), description="Identifiers of runtime add-ons, e.g. Spark's, as the workbench lists them."
    )


class Resources(Frozen):
    """Of one replica or one job run. A profile, where the workbench has them, goes before cpu and memory."""

    cpu: float = Field(default=1.0, gt=0, description="vCPU.")
    memory_gib: float = Field(default=2.0, gt=0)
    gpus: int = Field(default=0, ge=0)
    resource_profile_id: int | None = Field(default=None, ge=1)
    resource_group_id: int | None = Field(default=None, ge=1)


class Canary(Frozen):
    """`blue_green`: shares of the traffic that the new model gets in turn, and when they are taken back."""

    weights: tuple[Percent, ...] = Field(
        default=(5, 25, 50, 100), min_length=1, description="Percent, rising, the last one 100."
    )
    step_seconds: float = Field(
        default=30, ge=0, le=3600, description="How long each share is watched before the next."
    )
    max_error_rate: float = Field(
        default=0.0, ge=0, le=1, description="Share of failed requests above the old model's."
    )
    max_latency_ratio: float = Field(
        default=2.0, gt=0, description="95th percentile of the new model's latency by the old one's."
    )
    latency_floor_ms: float = Field(
        default=50.0, ge=0, description="Below it, a 95th percentile is never too long."
    )
    max_score_shift: float = Field(
        default=0.2, ge=0, le=1, description="Difference of the two models' mean scores."
    )

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if list(self.weights) != sorted(set(self.weights)) or self.weights[-1] != 100:  # noqa: PLR2004
            raise ValueError("weights must rise and end with 100")
        return self


class JobSchedule(Frozen):
    """When New Batch starts: by hand, or by cron; the other jobs follow it."""

    cron: str = Field(
        default="",
        pattern=r"^$|^(\S+ ){4}\S+$",
        description="Five fields of cron; empty: by hand, in the workbench or by `lakeloop cai run`.",
    )
    timezone: str = Field(default="UTC", min_length=1, description="Name of the IANA time zone database.")


class Jobs(Frozen):
    """The three jobs of `lakeloop cai apply`."""

    name_suffix: str = Field(default="", description="Behind each job's name; default the use case's name.")
    resources: Resources = Resources(cpu=2, memory_gib=4)
    schedule: JobSchedule = JobSchedule()
    timeout_seconds: int = Field(default=14_400, ge=60, le=7 * 86_400, description="Of each job's run.")
    environment: dict[VariableName, str] = Field(
        default_factory=dict, description="E.g. DBNAME, STORAGE, CONNECTION_NAME; never a secret."
    )


class WorkbenchDeployment(Frozen):
    """Target `cai`: a model of a Cloudera AI workbench, behind its API v2."""

    strategy: Literal["in_place", "blue_green"] = Field(
        default="in_place",
        description="in_place: one model, which does not answer for minutes while it is redeployed. "
        "blue_green: two models and a gateway, no gap.",
    )
    model_from: Literal["registry", "project_files"] = Field(
        default="registry",
        description="What a build is made of: a version in the AI Registry, or a folder of the project.",
    )
    runtime: RuntimeNeeds = RuntimeNeeds()
    resources: Resources = Resources()
    replicas: int = Field(default=1, ge=1, le=100)
    environment: dict[VariableName, str] = Field(
        default_factory=dict, description="Of the model's replicas; never a secret."
    )
    secrets: dict[VariableName, VariableName] = Field(
        default_factory=dict,
        description="Name in the replicas' secrets folder -> the variable that holds the value where the "
        "redeploy runs.",
    )
    metrics: bool = Field(
        default=False, description="project_files: track each prediction with cml.metrics_v1."
    )
    keep: int = Field(
        default=3, ge=2, description="Builds that stay; the live one and the one before always do."
    )
    build_timeout_seconds: float = Field(default=1800, gt=0)
    deploy_timeout_seconds: float = Field(default=900, gt=0)
    canary: Canary = Canary()
    jobs: Jobs = Jobs()

    @field_validator("strategy", mode="before")
    @classmethod
    def _known_strategy(cls, value: Any) -> Any:
        if value == "inference_service":
            raise ValueError(NO_INFERENCE_SERVICE)
        return value
