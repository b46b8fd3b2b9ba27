"""WHAT to train: one frozen value, read from one file in `conf/use_cases/`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from lakeloop.domain.base import Frozen, canonical_json, sha256_hex
from lakeloop.domain.drift_policy import DriftPolicy
from lakeloop.domain.engines import Engine
from lakeloop.domain.features import FeatureSpec, case_problem, named_features
from lakeloop.domain.model_pods import ModelPods
from lakeloop.domain.partitions import partition_problem
from lakeloop.domain.spark_resources import SparkResources
from lakeloop.domain.synthetic import SyntheticSource
from lakeloop.domain.time_formats import problem_of
from lakeloop.domain.workbench import WorkbenchDeployment

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
TableName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)+$")]
ColumnType = Literal["string", "boolean", "int", "long", "float", "double", "date", "timestamp"]


class Table(Frozen):
    """The Iceberg table that grows, as `namespace.table` in the configured catalog."""

    name: TableName
    key: tuple[str, ...] = Field(
        min_length=1, description="Columns that identify a row; with event_time, its total order."
    )
    event_time: str = Field(description="Column (timestamp or date) that says when the row happened.")
    columns: dict[str, ColumnType] = Field(
        default_factory=dict,
        description="Declared schema: required where lakeloop creates the table, checked where it exists.",
    )
    partition_by: tuple[str, ...] = Field(
        default=(), description="Iceberg transforms, e.g. days(event_time)."
    )

    @property
    def order(self) -> tuple[str, ...]:
        """Event time, then the other columns of the key: a row's place in the total order, each column once."""
        return tuple(dict.fromkeys([self.event_time, *self.key]))


class FilesSource(Frozen):
    """New files are the batch. A relative path is relative to the use-case file's folder."""

    kind: Literal["files"]
    path: str = Field(
        min_length=1, description="Glob, local or s3://; sorted by name, each file is taken once."
    )
    format: Literal["csv", "parquet", "json"] = "csv"
    per_batch: Literal["all", "file"] = Field(
        default="all", description="All new files at once, or one file a batch."
    )
    csv_delimiter: str = Field(default=",", min_length=1, max_length=1)
    null_values: tuple[str, ...] = ("", "NA")
    time_formats: dict[str, str] = Field(
        default_factory=dict,
        description="Date or timestamp column -> how it is written where that is not ISO 8601, e.g. "
        "`%d/%m/%Y %H:%M`, or epoch_seconds, epoch_milliseconds.",
    )

    @field_validator("csv_delimiter")
    @classmethod
    def _apart(cls, mark: str) -> str:
        if mark in {'"', "\n", "\r"}:
            raise ValueError(f"{mark!r} cannot stand between fields: it quotes them, or ends the line")
        return mark

    @field_validator("time_formats")
    @classmethod
    def _readable(cls, formats: dict[str, str]) -> dict[str, str]:
        wrong = [f"{column}: {problem}" for column, text in formats.items() if (problem := problem_of(text))]
        if wrong:
            raise ValueError("; ".join(wrong))
        return formats


class TableSource(Frozen):
    """The table is written by somebody else; lakeloop only follows its snapshots."""

    kind: Literal["table"]


BatchSource = Annotated[SyntheticSource | FilesSource | TableSource, Field(discriminator="kind")]


class Bounds(Frozen):
    """Closed interval; an absent end is open."""

    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is greater than max {self.max}")
        return self


class Expectations(Frozen):
    """What a batch must satisfy before anybody may see it."""

    not_null: tuple[str, ...] = ()
    max_null_fraction: dict[str, Annotated[float, Field(ge=0, le=1)]] = Field(default_factory=dict)
    ranges: dict[str, Bounds] = Field(default_factory=dict)
    allowed: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="Column -> the only values it may have."
    )
    unique: tuple[str, ...] = Field(
        default=(), description="Columns that are unique together, inside the batch."
    )
    rows: Bounds = Bounds(min=1)
    label_rate: Bounds | None = Field(
        default=None, description="Share of positive labels; the gate asks it again of the newest range."
    )
    extra_columns: Literal["refuse", "drop"] = "refuse"


class Label(Frozen):
    """The column to predict; 1/true (or `positive`) is the positive class."""

    column: str
    positive: str | int | float | bool | None = None


class Holdout(Frozen):
    """The newest share of the newest range, by (event time, key), is never trained on before it is scored."""

    fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2


class Window(Frozen):
    """Which rows a training sees besides the newest range."""

    policy: Literal["increment", "last_n", "full", "warm_start", "replay"] = "increment"
    ranges: int = Field(default=3, ge=1, description="last_n: how many ranges, the newest included.")
    fraction: float = Field(default=0.2, gt=0, le=1, description="replay: seeded share of the earlier rows.")


class Train(Frozen):
    """How the booster is made. `params` go to XGBoost as they are."""

    engine: Literal["local", "spark"] = "local"
    rounds: int = Field(default=200, ge=1, le=100_000)
    early_stopping_rounds: int | None = Field(default=20, ge=1)
    params: dict[str, str | int | float | bool] = Field(default_factory=dict)
    seed: int = Field(default=42, ge=0, le=2**31 - 1)
    threads: int = Field(
        default=0, ge=0, description="0: all cores. The booster's bytes do not depend on it."
    )
    workers: int = Field(default=2, ge=1, description="Spark tasks, with engine spark.")
    window: Window = Window()
    holdout: Holdout = Holdout()


Metric = Literal["roc_auc", "pr_auc", "log_loss", "brier"]


class SliceGate(Frozen):
    """No segment of this column may get worse by more than `max_regression`."""

    column: str
    max_regression: Annotated[float, Field(ge=0)] = 0.02
    min_rows: int = Field(default=200, ge=10)


class Gate(Frozen):
    """When a challenger may replace the champion. Fails closed: no evidence, no promotion."""

    metric: Metric = "roc_auc"
    min_rows: int = Field(
        default=500, ge=2, description="Holdout rows below which there is no verdict but 'reject'."
    )
    min_positives: int = Field(default=10, ge=1, description="Also of negatives.")
    floor: float | None = Field(
        default=None, description="Worst acceptable value of the metric, the first model included."
    )
    min_effect: float = Field(default=0.0, description="Improvement over the champion that is asked for.")
    max_loss: float = Field(
        default=0.0,
        ge=0,
        description="0: superiority, the interval of the difference lies above min_effect. "
        ">0: non-inferiority, it lies above -max_loss.",
    )
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    bootstrap_samples: int = Field(default=1000, ge=100, le=100_000)
    max_calibration_error: float | None = Field(default=None, gt=0, le=1)
    slices: tuple[SliceGate, ...] = ()


class SnapshotPolicy(Frozen):
    """What to do when the new snapshots are not plain appends (the planner's policy)."""

    min_rows: int = Field(
        default=1, ge=0, description="Fewer new rows: nothing to do yet, the watermark stays."
    )
    on_overwrite: Literal["refuse", "changelog", "rebuild"] = "refuse"
    on_delete: Literal["refuse", "changelog", "rebuild"] = "refuse"
    on_expired_start: Literal["refuse", "rebuild"] = "refuse"
    on_rollback: Literal["refuse", "rebuild"] = "refuse"
    on_replaced_table: Literal["refuse", "rebuild"] = "refuse"
    on_schema_change: Literal["refuse", "allow_added", "rebuild"] = Field(
        default="refuse",
        description="Of columns that the use case looks at. rebuild: the whole table is read as it is now.",
    )


Target = Literal["local", "kserve", "cai"]
START_SECONDS: dict[Target, int] = {"local": 60, "kserve": 300, "cai": 1800}
"""How long a server may take to answer, where the use case does not say: a pod waits for a node and an image."""


class Deployment(Frozen):
    """Where the champion answers. `port` 0 picks a free one and keeps it."""

    target: Target = Field(
        default="local", description="Where nothing else is said: LAKELOOP_DEPLOYMENT_TARGET goes first."
    )
    endpoint: Annotated[str, StringConstraints(pattern=r"^[a-z]([-a-z0-9]{0,51}[a-z0-9])?$")] | None = None
    port: int = Field(default=0, ge=0, le=65535)
    prove_rows: int = Field(default=50, ge=1, le=10_000)
    score_tolerance: float = Field(default=1e-6, ge=0)
    decision_threshold: float = Field(
        default=0.5, ge=0, le=1, description="A score from here on is answered as decision true."
    )
    timeout_seconds: int | None = Field(
        default=None,
        ge=1,
        le=3600,
        description="Limit for the start of a server. Default: 60 on one machine, 300 on KServe.",
    )
    pods: ModelPods = ModelPods()
    transformer: bool = Field(
        default=False,
        description="On KServe: features are made, and ids looked up, in pods of their own (a transformer), which ask "
        "the predictor; each as many as `pods` says. Elsewhere this changes nothing.",
    )
    cai: WorkbenchDeployment = WorkbenchDeployment()


class Online(Frozen):
    """Whose features are looked up by id; `publish_features` fills the online store with them."""

    entity: tuple[str, ...] = Field(
        min_length=1, description="Column or columns of the table that identify a customer, a device..."
    )

    @field_validator("entity", mode="before")
    @classmethod
    def _one_name(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value


class UseCase(Frozen):
    """One table, one model, one endpoint: all that lakeloop needs to know of them."""

    name: Name
    description: str = ""
    table: Table
    source: BatchSource
    expectations: Expectations = Expectations()
    label: Label
    features: tuple[FeatureSpec, ...] = Field(min_length=1)
    engine: Engine = Field(
        default="auto",
        description="Lands and scores batches, computes features: auto chooses by their rows; the result is the same.",
    )
    train: Train = Train()
    gate: Gate = Gate()
    snapshots: SnapshotPolicy = SnapshotPolicy()
    spark: SparkResources = SparkResources()
    deployment: Deployment = Deployment()
    online: Online | None = None
    drift: DriftPolicy = DriftPolicy()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        named_features(self.features)
        problems = list(self._undeclared()) + list(self._leaks())
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _undeclared(self) -> list[str]:
        declared = self.table.columns
        if not declared:
            return (
                [] if self.source.kind == "table" else ["table.columns: declare the columns of the batches"]
            )
        places = [("table.key", c) for c in self.table.key]
        places += [("table.event_time", self.table.event_time), ("label.column", self.label.column)]
        places += [("features", c) for f in self.features for c in f.read_columns]
        places += [(f"expectations.{k}", c) for k, c in _named_in(self.expectations)]
        places += [("gate.slices", s.column) for s in self.gate.slices]
        places += [("online.entity", c) for c in (self.online.entity if self.online else ())]
        formats = self.source.time_formats if self.source.kind == "files" else {}
        places += [("source.time_formats", c) for c in formats]
        missing = [
            f"{where}: column {c!r} is not in table.columns" for where, c in places if c not in declared
        ]
        made = self.source.mismatches(declared, self.label.column) if self.source.kind == "synthetic" else []
        timeless = [
            f"source.time_formats: column {c!r} is declared as {declared[c]}, neither date nor timestamp"
            for c in formats
            if declared.get(c, "date") not in {"date", "timestamp"}
        ]
        unfit = [
            f"expectations.ranges: column {c!r} is declared as {declared[c]}, which has no range"
            for c in self.expectations.ranges
            if declared.get(c) in {"string", "date", "timestamp"}
        ]
        if declared.get(self.label.column) in {"date", "timestamp"}:
            unfit.append(f"label.column: {self.label.column!r} is a {declared[self.label.column]}, no label")
        partitions = (partition_problem(entry, declared) for entry in self.table.partition_by)
        unfit += [f"table.partition_by: {problem}" for problem in partitions if problem]
        alike = case_problem(declared)
        same = [f"table.columns: {alike}"] if alike else []
        return missing + timeless + made + unfit + same

    def _leaks(self) -> list[str]:
        """A feature never sees its own row's label, and of earlier rows only those whose label is said to be known."""
        label, found = self.label.column, []
        for f in self.features:
            past = f.as_of
            if label in {f.column, f.date_column, *(past.entity if past else ())}:
                found.append(f"features: {f.name!r} is the label; a feature never sees it")
            elif past and past.of == label and not past.delay_days:
                found.append(
                    f"features: {f.name!r} reads the label of earlier rows, which may not be known yet: "
                    "say by as_of.delay_days how many days after its row a label is known"
                )
            if past and f.name in self.table.columns:
                found.append(
                    f"features: {f.name!r} looks at earlier rows and has a column's name: give it its own"
                )
        return found

    def time_format(self, column: str) -> str | None:
        """How the column's moments are written in the source's files; None: as ISO 8601."""
        return self.source.time_formats.get(column) if self.source.kind == "files" else None

    def kind_as_written(self, column: str) -> str:
        """A declared column's type, and how it is written where that is declared; for messages."""
        written = self.time_format(column)
        kind = self.table.columns[column]
        return kind if written is None else f"{kind} written as {written}"

    def digest(self) -> str:
        """As `recorded_digest`, of this use case."""
        return recorded_digest(self.model_dump(mode="json"))

    @property
    def endpoint(self) -> str:
        """The endpoint's name: declared, or the use case's with dashes."""
        return self.deployment.endpoint or self.name.replace("_", "-")


def recorded_digest(document: Mapping[str, Any]) -> str:
    """Lower-case hex SHA-256 of all of a use case, as JSON values, that can show in a model.

    The engine that computes it, and how its predictions are watched, cannot show.
    """
    return sha256_hex(canonical_json({k: v for k, v in document.items() if k not in {"engine", "drift"}}))


def _named_in(expectations: Expectations) -> list[tuple[str, str]]:
    groups = {
        "not_null": expectations.not_null,
        "max_null_fraction": expectations.max_null_fraction,
        "ranges": expectations.ranges,
        "allowed": expectations.allowed,
        "unique": expectations.unique,
    }
    return [(group, column) for group, columns in groups.items() for column in columns]
