"""A synthetic batch source, declared in the use case (schema; `lakeloop.generation` makes the rows)."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Collection, Iterator
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from lakeloop.domain.base import Frozen

ColumnName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")]
Scalar = bool | int | float | str
_UNREPEATABLE = re.compile(
    r"\b(random|setseed|uuid|uuidv4|uuidv7|gen_random_uuid|nextval|now|today|get_current_time\w*|"
    r"current_date|current_time|current_timestamp|localtime|localtimestamp|row_number)\b",
    re.IGNORECASE,
)


def _repeatable(expression: str) -> str:
    found = _UNREPEATABLE.search(expression)
    if found:
        raise ValueError(f"{found[0]!r} has another value each time; draw a hidden column instead")
    return expression


Expression = Annotated[
    str,
    Field(min_length=1, description="Scalar DuckDB SQL over the columns declared above it."),
    AfterValidator(_repeatable),
]


class Correlation(Frozen):
    """The normal score is `value` times the other column's plus an independent rest (a Gaussian copula)."""

    column: ColumnName = Field(description="A drawn column declared above.")
    value: float = Field(gt=-1, lt=1)


class _Column(Frozen):
    name: ColumnName
    hidden: bool = Field(
        default=False, description="Seen by later expressions only: not in the batch, not by the logit."
    )


class Sequence(_Column):
    """A whole number that no other row of any batch has: start + number * stride + row."""

    kind: Literal["sequence"]
    start: int = 0
    stride: int = Field(default=1_000_000_000, ge=1, description="At least the rows of the largest batch.")


class Time(_Column):
    """When the row happened, in UTC: batch k covers the `batch_seconds` after batch k - 1, evenly."""

    kind: Literal["time"]
    start: dt.datetime = Field(description="First row of batch 1.")
    batch_seconds: int = Field(default=86_400, ge=1)


class _Drawn(_Column):
    entity: ColumnName | None = Field(
        default=None,
        description="Whole-number column declared above: one draw for each of its values, in all batches.",
    )
    correlation: Correlation | None = None
    nulls: float = Field(default=0.0, ge=0, lt=1, description="Probability of a missing value.")


class _Number(_Drawn):
    min: float | None = Field(default=None, description="Smaller values become this one.")
    max: float | None = None
    round: int | None = Field(default=None, ge=-9, le=15, description="Decimals kept.")


class Normal(_Number):
    """Normal with mean and standard deviation."""

    kind: Literal["normal"]
    mean: float = 0.0
    std: float = Field(default=1.0, gt=0)


class Lognormal(_Number):
    """exp of a normal: `median` times exp(`sigma` * z)."""

    kind: Literal["lognormal"]
    median: float = Field(gt=0)
    sigma: float = Field(gt=0)


class Uniform(_Number):
    """Uniform on [low, high)."""

    kind: Literal["uniform"]
    low: float = 0.0
    high: float = 1.0


class Exponential(_Number):
    """Exponential with a mean."""

    kind: Literal["exponential"]
    mean: float = Field(gt=0)


class Beta(_Number):
    """Beta(a, b) on [low, high]."""

    kind: Literal["beta"]
    a: float = Field(gt=0)
    b: float = Field(gt=0)
    low: float = 0.0
    high: float = 1.0


class Integer(_Drawn):
    """Each whole number from low to high, both included, equally often."""

    kind: Literal["integer"]
    low: int
    high: int


class Choice(_Drawn):
    """One of the values, by weight (default: equal)."""

    kind: Literal["choice"]
    values: tuple[Scalar, ...] = Field(min_length=1)
    weights: tuple[Annotated[float, Field(ge=0)], ...] = ()

    @model_validator(mode="after")
    def _weighted(self) -> Self:
        if self.weights and len(self.weights) != len(self.values):
            raise ValueError(f"{len(self.values)} values but {len(self.weights)} weights")
        if self.weights and not sum(self.weights):
            raise ValueError("the weights are all zero")
        if len({type(v) for v in self.values}) > 1:
            raise ValueError("values: give values of one type")
        return self


class Computed(_Column):
    """A SQL expression over the columns declared above."""

    kind: Literal["expression"]
    expression: Expression


DrawnColumn = Normal | Lognormal | Uniform | Exponential | Beta | Integer | Choice
SyntheticColumn = Annotated[Sequence | Time | DrawnColumn | Computed, Field(discriminator="kind")]
DRAWN = (Normal, Lognormal, Uniform, Exponential, Beta, Integer, Choice)


class SyntheticLabel(Frozen):
    """The label is Bernoulli(sigmoid(logit)): it depends on the columns in no other way."""

    logit: Expression = Field(description="Scalar DuckDB SQL over the columns that are not hidden.")
    positive: Scalar = 1
    negative: Scalar = 0


class SyntheticSource(Frozen):
    """A seeded generator: the same (seed, batch number, row number) gives the same row on any engine."""

    kind: Literal["synthetic"]
    rows: int = Field(default=10_000, ge=1, description="Rows a batch.")
    seed: int = Field(default=42, ge=0)
    columns: tuple[SyntheticColumn, ...] = Field(min_length=1)
    label: SyntheticLabel

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        problems = list(_order_problems(self.columns))
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def mismatches(self, table_columns: Collection[str], label_column: str) -> list[str]:
        """Where the declared table and this source name different columns, one sentence each."""
        made = {c.name for c in self.columns if not c.hidden} | {label_column}
        hidden = {c.name for c in self.columns if c.hidden}
        missing = [
            f"source.columns: table column {c!r} is not generated" for c in table_columns if c not in made
        ]
        foreign = [
            f"source.columns: {c!r} is not in table.columns (declare it there, or make it hidden)"
            for c in sorted(made - set(table_columns))
        ]
        visible = [
            f"source.columns: {c!r} is hidden, but is in table.columns"
            for c in sorted(hidden & set(table_columns))
        ]
        drawn = [c.name for c in self.columns if c.name == label_column]
        twice = [f"source.columns: {c!r} is the label; source.label draws it" for c in drawn]
        return missing + foreign + visible + twice


def _order_problems(columns: tuple[SyntheticColumn, ...]) -> Iterator[str]:
    above: dict[str, SyntheticColumn] = {}
    for column in columns:
        if column.name in above:
            yield f"columns: {column.name!r} is declared twice"
        if isinstance(column, DRAWN):
            yield from _reference_problems(column, above)
        above[column.name] = column


def _reference_problems(column: DrawnColumn, above: dict[str, SyntheticColumn]) -> Iterator[str]:
    if column.entity is not None and column.entity not in above:
        yield f"columns: {column.name!r}: entity {column.entity!r} is not a column declared above it"
    if column.correlation is None:
        return
    other = above.get(column.correlation.column)
    if not isinstance(other, DRAWN):
        yield f"columns: {column.name!r}: correlated with {column.correlation.column!r}, not drawn above it"
    elif other.entity != column.entity:
        yield f"columns: {column.name!r} and {other.name!r} are correlated but have different entities"
