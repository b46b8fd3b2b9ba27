"""What a batch looks like, column by column (artifact `profile` of profile_batch)."""

from __future__ import annotations

from pydantic import Field

from lakeloop.domain.base import Frozen


class Bin(Frozen):
    """Rows with low <= value < high; the last bin includes its high end."""

    low: float
    high: float
    rows: int


class ValueCount(Frozen):
    """A frequent value."""

    value: str
    rows: int


class ColumnProfile(Frozen):
    """One declared column. Numbers are over the valid values; times are seconds since 1970."""

    name: str
    type: str
    nulls: int
    invalid: int = Field(description="Values that are not of the declared type, infinities and NaN included.")
    distinct: int = Field(description="Approximate (HyperLogLog).")
    min: str | None = Field(default=None, description="As text, so that no digit is lost.")
    max: str | None = None
    mean: float | None = None
    std: float | None = None
    quantiles: dict[str, float] = Field(
        default_factory=dict, description="p05, p25, p50, p75, p95; approximate (t-digest)."
    )
    top: tuple[ValueCount, ...] = Field(default=(), description="Most frequent values of texts, booleans.")
    histogram: tuple[Bin, ...] = Field(
        default=(), description="At most 30 bins: equal ones from p01 to p99, and one for each tail."
    )


class Profile(Frozen):
    """A batch, before anybody decides on it. Descriptive: no rule is checked here."""

    batch_id: str | None
    rows: int = 0
    files: int = 0
    label_column: str = ""
    labelled_rows: int = 0
    label_rate: float | None = Field(default=None, description="Share of positives among labelled rows.")
    columns: tuple[ColumnProfile, ...] = ()
    note: str = ""
