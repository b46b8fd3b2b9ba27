"""What a replay found: the same model, or what differs and by how much. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pydantic import Field

from lakeloop.domain.base import Frozen, canonical_json, sha256_hex
from lakeloop.domain.lineage import CodeIdentity
from lakeloop.domain.rows_digest import RowsDigest
from lakeloop.domain.snapshots import SnapshotRange
from lakeloop.domain.training import TrainedModel
from lakeloop.domain.use_case import recorded_digest

Source = Literal["source", "features"]
METRIC_TOLERANCE = 1e-12


class Difference(Frozen):
    """One thing that is not as it was."""

    kind: Literal["rows", "model", "metric", "record", "library", "image", "commit"]
    name: str = Field(description="Which rows and column, file, metric or package.")
    recorded: str
    now: str

    def told(self) -> str:
        """In one line."""
        return f"{self.kind} {self.name}: {self.recorded} recorded, {self.now} now"


class Compared(Frozen):
    """A value then and now; None where it was not recorded, or could not be made."""

    recorded: str | float | None
    now: str | float | None


class ColumnChange(Frozen):
    """How the rows of one range differ from those that the feature table holds."""

    rows: Literal["newest", "earlier"]
    column: str = Field(description="'*': whole rows, found on one side only.")
    different: int = Field(description="Rows whose value differs, or that are on one side only.")
    example: str = ""


class Replay(Frozen):
    """Artifact `replay` of replay_version.

    `differences` are what makes the outcome `differs`; `environment` is what was different about the machine, which is
    a cause only where there are differences.
    """

    use_case: str
    version: str
    source: Source
    outcome: Literal["identical", "differs"]
    range: SnapshotRange
    run_key: str
    mlflow_run_id: str
    rows: int
    booster_sha256: Compared
    model_digest: Compared
    data_digest: Compared
    metrics: dict[str, Compared] = Field(default_factory=dict)
    max_score_difference: float | None = Field(
        default=None, description="Of the recorded and the rebuilt booster on the rebuilt holdout rows."
    )
    differences: tuple[Difference, ...] = ()
    changes: tuple[ColumnChange, ...] = ()
    environment: tuple[Difference, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True)
class Rebuilt:
    """What came out of the second making.

    `problem` says why the recorded model could not be read. `recorded_metrics` are the verdict's, `metrics` the
    rebuilt booster's on the rebuilt holdout.
    """

    booster_sha256: str
    model_digest: str
    rows: int
    data: Mapping[str, RowsDigest]
    code: CodeIdentity
    metrics: Mapping[str, float]
    recorded_metrics: Mapping[str, float] = field(default_factory=dict)
    max_score_difference: float | None = None
    problem: str = ""
    changes: tuple[ColumnChange, ...] = ()
    notes: tuple[str, ...] = ()


def compare(
    recorded: TrainedModel, version: str, source: Source, rebuilt: Rebuilt, seconds: float = 0.0
) -> Replay:
    """The record against what was rebuilt from it.

    Args:
        recorded: the training behind the version.
        version: of the model.
        source: what it was rebuilt from.
        rebuilt: what came out.
        seconds: how long it took.
    """
    differences = (
        *_record_differences(recorded, rebuilt),
        *_row_differences(recorded, rebuilt),
        *_model_differences(recorded, rebuilt),
        *_metric_differences(rebuilt),
    )
    lineage = recorded.lineage
    return Replay(
        use_case=lineage.use_case,
        version=version,
        source=source,
        outcome="differs" if differences else "identical",
        range=lineage.training_set.range,
        run_key=lineage.run_key,
        mlflow_run_id=recorded.mlflow_run_id,
        rows=rebuilt.rows,
        booster_sha256=Compared(recorded=recorded.booster_sha256, now=rebuilt.booster_sha256),
        model_digest=Compared(recorded=recorded.model_digest, now=rebuilt.model_digest),
        data_digest=Compared(recorded=data_digest(recorded.data), now=data_digest(rebuilt.data)),
        metrics={
            name: Compared(
                recorded=rebuilt.recorded_metrics.get(name), now=value if math.isfinite(value) else None
            )
            for name, value in rebuilt.metrics.items()
        },
        max_score_difference=rebuilt.max_score_difference,
        differences=differences,
        changes=rebuilt.changes,
        environment=environment(lineage.code, rebuilt.code),
        notes=(*_notes(recorded, rebuilt), *rebuilt.notes),
        seconds=seconds,
    )


def data_digest(data: Mapping[str, RowsDigest]) -> str | None:
    """One digest over all rows and columns of a training; None where none was kept."""
    return sha256_hex(canonical_json({k: v.model_dump() for k, v in data.items()})) if data else None


def environment(recorded: CodeIdentity, now: CodeIdentity) -> tuple[Difference, ...]:
    """Libraries, image and commit that are not those of the training."""
    names = sorted(recorded.libraries.keys() | now.libraries.keys())
    found = [
        Difference(
            kind="library",
            name=name,
            recorded=recorded.libraries.get(name, "none"),
            now=now.libraries.get(name, "none"),
        )
        for name in names
        if recorded.libraries.get(name) != now.libraries.get(name)
    ]
    if recorded.image_digest != now.image_digest:
        found.append(
            Difference(kind="image", name="digest", recorded=recorded.image_digest, now=now.image_digest)
        )
    if recorded.git_commit != now.git_commit:
        found.append(Difference(kind="commit", name="git", recorded=recorded.git_commit, now=now.git_commit))
    return tuple(found)


def causes(replay: Replay) -> tuple[str, ...]:
    """What may be behind a difference, most telling first; nothing where there is none."""
    if replay.outcome == "identical":
        return ()
    kinds = {difference.kind for difference in replay.differences}
    if "record" in kinds:
        return ("the record was changed after the training",)
    if "rows" in kinds:
        return ("the rows are not those that were trained on",)
    if replay.environment:
        return tuple(d.told() for d in replay.environment)
    return ("the rows, the libraries, the image and the commit are the same: is the processor another one?",)


def _record_differences(recorded: TrainedModel, rebuilt: Rebuilt) -> list[Difference]:
    found = []
    if recorded.use_case:
        digest = recorded_digest(recorded.use_case)
        if digest != recorded.lineage.use_case_digest:
            found.append(
                Difference(
                    kind="record",
                    name="use case",
                    recorded=recorded.lineage.use_case_digest,
                    now=f"{digest}, of the text beside it",
                )
            )
    if rebuilt.problem:
        found.append(
            Difference(kind="record", name="model files", recorded=recorded.model_digest, now=rebuilt.problem)
        )
    return found


def _row_differences(recorded: TrainedModel, rebuilt: Rebuilt) -> list[Difference]:
    total = recorded.lineage.training_set.rows
    if total != rebuilt.rows:
        return [
            Difference(kind="rows", name="training set", recorded=f"{total} rows", now=f"{rebuilt.rows} rows")
        ]
    return [
        difference
        for part, before in recorded.data.items()
        if part in rebuilt.data
        for difference in _part_differences(part, before, rebuilt.data[part])
    ]


def _part_differences(part: str, before: RowsDigest, now: RowsDigest) -> list[Difference]:
    if before.rows != now.rows:
        counts = f"{before.rows} rows", f"{now.rows} rows"
        return [Difference(kind="rows", name=part, recorded=counts[0], now=counts[1])]
    names = sorted(before.columns.keys() | now.columns.keys())
    return [
        Difference(
            kind="rows",
            name=f"{part}, column {name}",
            recorded=before.columns.get(name, "none"),
            now=now.columns.get(name, "none"),
        )
        for name in names
        if before.columns.get(name) != now.columns.get(name)
    ]


def _model_differences(recorded: TrainedModel, rebuilt: Rebuilt) -> list[Difference]:
    if recorded.booster_sha256 != rebuilt.booster_sha256:
        name, before, now = "booster.ubj", recorded.booster_sha256, rebuilt.booster_sha256
    elif recorded.model_digest != rebuilt.model_digest:
        name, before, now = "encoding.json", recorded.model_digest, rebuilt.model_digest
    else:
        return []
    return [Difference(kind="model", name=name, recorded=before, now=now)]


def _metric_differences(rebuilt: Rebuilt) -> list[Difference]:
    return [
        Difference(kind="metric", name=name, recorded=f"{before:.17g}", now=f"{rebuilt.metrics[name]:.17g}")
        for name, before in rebuilt.recorded_metrics.items()
        if name in rebuilt.metrics and not abs(before - rebuilt.metrics[name]) <= METRIC_TOLERANCE
    ]


def _notes(recorded: TrainedModel, rebuilt: Rebuilt) -> list[str]:
    notes = []
    if not recorded.data:
        notes.append("the training kept no digest of its rows: only their count was compared")
    elif not rebuilt.data:
        notes.append("this engine tells no digest of its rows: only their count was compared")
    if not rebuilt.recorded_metrics:
        notes.append("no verdict with metrics is recorded: metrics were not compared")
    if recorded.continued_version:
        notes.append(
            f"warm start: version {recorded.continued_version} was taken as it is registered, its bytes checked; "
            f"replay it as well"
        )
    return notes
