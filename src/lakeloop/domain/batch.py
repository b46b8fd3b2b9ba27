"""A batch on its way into the table."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from lakeloop.domain.base import Frozen
from lakeloop.domain.source_files import SourceFile

BATCH_ID_PROPERTY = "lakeloop.batch-id"
BATCH_NUMBER_PROPERTY = "lakeloop.batch-number"
SOURCE_FILES_PROPERTY = "lakeloop.source-files"


class Plants(Frozen):
    """Faults planted into a synthetic batch, to see them caught. Fractions are shares of the rows."""

    drift: dict[str, float] = Field(
        default_factory=dict, description="Column -> shift, in its standard deviations."
    )
    label_shift: float = Field(default=0.0, description="Added to the logit of the label.")
    nulls: dict[str, float] = Field(default_factory=dict)
    out_of_range: dict[str, float] = Field(default_factory=dict)
    duplicates: float = Field(default=0.0, ge=0, le=1)


class BatchOptions(Frozen):
    """What a caller may say about one batch; all of it optional."""

    rows: int | None = Field(default=None, ge=1)
    number: int | None = Field(
        default=None, ge=0, description="Synthetic: which batch; default the next one."
    )
    plants: Plants = Plants()
    land: bool = Field(
        default=True, description="False: land nothing, train on what the table holds already."
    )
    batch_id: str | None = Field(default=None, pattern=r"^[A-Za-z0-9._-]{1,64}$")


class Batch(Frozen):
    """A fixed batch: resolved once, the same on every retry (artifact `batch` of generate_batch)."""

    kind: Literal["synthetic", "files", "table"]
    batch_id: str | None = Field(description="Content identity; None where there is nothing to land.")
    number: int | None = None
    files: tuple[str, ...] = Field(default=(), description="URIs in order; empty: nothing to land.")
    format: Literal["csv", "parquet", "json"] = "parquet"
    rows: int | None = None
    note: str = ""
    source_files: tuple[SourceFile, ...] = Field(
        default=(), description="Kind files: identities, for the snapshot summary (`source_files_property`)."
    )


class RuleResult(Frozen):
    """One expectation, checked on the staged rows."""

    rule: str = Field(description="e.g. range(age), not_null(age), unique(transaction_id), rows, label_rate")
    passed: bool
    observed: str
    expected: str
    failing_rows: int = 0


class IngestResult(Frozen):
    """What became of a batch (artifact `ingest` of ingest_batch)."""

    outcome: Literal["published", "already_published", "refused", "nothing"]
    batch_id: str | None
    table: str
    table_uuid: str | None = None
    snapshot_id: str | None = None
    rows: int = 0
    rules: tuple[RuleResult, ...] = ()
    quarantine_uri: str | None = Field(
        default=None, description="Where a refused batch's rows and rules are kept."
    )
    reason: str = ""
    spark_seconds: float = 0.0
