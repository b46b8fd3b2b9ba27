"""What a model sees of a row: columns, expressions, dates and its entity's past, declared without naming an engine."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    GetJsonSchemaHandler,
    SerializerFunctionWrapHandler,
    StringConstraints,
    WithJsonSchema,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from lakeloop.domain.base import Frozen, canonical_json, sha256_hex
from lakeloop.domain.dates import age_sql, years_since_sql
from lakeloop.domain.dialects import DUCKDB, Dialect

FeatureName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")]
FeatureType = Literal["numeric", "categorical"]
Aggregate = Literal["count", "mean", "sum", "min", "max", "last", "days_since_last"]
_ONE_OR_MORE = {
    "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}],
    "description": "Column or columns whose equal values are one entity.",
}
_DATE_KINDS = {"age": age_sql, "years_since": years_since_sql}


class AsOf(Frozen):
    """An aggregate over the earlier rows of the row's entity: those strictly before its event time.

    Rows of the same instant (or, with a date, of the same day) see nothing of each other. A row whose event time or
    entity is unknown has null here, and is in nobody's past. Null and NaN values are passed over.
    """

    entity: Annotated[tuple[str, ...], WithJsonSchema(_ONE_OR_MORE)] = Field(
        min_length=1, description="Column or columns whose equal values are one entity."
    )
    aggregate: Aggregate = Field(
        description="count: of rows, or of known values with `of`; 0 where there is none. last: the newest known "
        "value. days_since_last: since the newest earlier row. All but count are null without an earlier value."
    )
    of: str | None = Field(default=None, description="Column that is aggregated; booleans are 0 and 1.")
    window_days: float | None = Field(
        default=None, gt=0, le=36_500, description="Only rows at most so many days before; default: all."
    )
    delay_days: float = Field(
        default=0,
        ge=0,
        le=36_500,
        description="A row is seen only by rows more than so many days later: when its value becomes known. "
        "Must be declared to read the label of earlier rows.",
    )

    @field_validator("entity", mode="before")
    @classmethod
    def _one_name(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.aggregate == "days_since_last" and self.of is not None:
            raise ValueError("as_of: days_since_last looks at rows: leave `of` out")
        if self.aggregate not in {"count", "days_since_last"} and self.of is None:
            raise ValueError(f"as_of: {self.aggregate} of which column? Give `of`")
        if self.window_days is not None and self.window_days <= self.delay_days:
            raise ValueError("as_of: window_days must be longer than delay_days, else it holds no row")
        return self


class _Sourced(Frozen):
    """What a feature is made of; exactly one of the five."""

    column: str | None = None
    expression: str | None = None
    age: str | None = Field(
        default=None, description="Column (date or timestamp): complete years from it to the event time."
    )
    years_since: str | None = Field(
        default=None,
        description="Column (date or timestamp): years of 365.2425 days from it to the event time.",
    )
    as_of: AsOf | None = None

    @model_serializer(mode="wrap")
    def _without_absent_kinds(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A feature of the first two kinds has the document, and so the hash, that it had before there were others."""
        document: dict[str, Any] = handler(self)
        return {
            k: v for k, v in document.items() if v is not None or k not in {"age", "years_since", "as_of"}
        }


class FeatureSpec(_Sourced):
    """One input of the model: a column, a SQL expression over the row, a time in years, or a look at the entity's past.

    In YAML a bare column name stands for `{name: COLUMN, column: COLUMN}`. Expressions are scalar SQL that
    Spark and DuckDB read alike (arithmetic, comparison, CASE, COALESCE, ln, exp, sqrt, abs, floor, least,
    greatest); a test runs every committed use case's expressions on both.
    """

    name: FeatureName
    type: FeatureType | None = Field(
        default=None,
        description="Default: from the column's type; all other kinds are numeric. Numbers with a point and instants "
        "have no categories.",
    )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """The object, or a bare column name: an editor must accept both."""
        return {"anyOf": [{"type": "string", "description": "A column as it is."}, handler(core_schema)]}

    @model_validator(mode="before")
    @classmethod
    def _bare_name(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"name": value, "column": value}
        kinds = ("column", "expression", "age", "years_since", "as_of")
        if isinstance(value, dict) and "name" in value and not any(value.get(kind) for kind in kinds):
            return {**value, "column": value["name"]}
        return value

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        sources = (self.column, self.expression, self.age, self.years_since, self.as_of)
        if sum(map(bool, sources)) != 1:
            raise ValueError(
                f"feature {self.name!r}: give either column or expression, age, years_since or as_of"
            )
        if self.type == "categorical" and (self.age or self.years_since):
            raise ValueError(f"feature {self.name!r}: years are numeric")
        if self.type == "categorical" and self.as_of and self.as_of.aggregate != "last":
            raise ValueError(f"feature {self.name!r}: only the last value can be a category")
        return self

    @property
    def date_column(self) -> str | None:
        """The date that a feature counts years from."""
        return self.age or self.years_since

    @property
    def read_columns(self) -> tuple[str, ...]:
        """The columns that are named one by one, of this row or of earlier ones; an expression's are in its text."""
        named = (self.column, self.date_column, *(self.as_of.entity if self.as_of else ()))
        of = self.as_of.of if self.as_of else None
        return tuple(column for column in (*named, of) if column)

    def row_sql(self, event_time: str, dialect: Dialect) -> str | None:
        """SQL over the row alone; None where the feature looks at earlier rows."""
        if self.as_of is not None:
            return None
        for kind, sql in _DATE_KINDS.items():
            if since := getattr(self, kind):
                return sql(dialect.quoted(since), dialect.quoted(event_time), dialect)
        return dialect.quoted(self.column) if self.column else f"({self.expression})"

    def served_expression(self, event_time: str) -> str | None:
        """What the server evaluates over the columns that a caller sends; None for a column as it is."""
        return self.row_sql(event_time, DUCKDB) if self.date_column else self.expression

    @property
    def served_column(self) -> str | None:
        """The column that a caller sends as it is: of an as-of feature its value, by the feature's name."""
        return self.name if self.as_of else self.column


def alike_but_for_case(names: Iterable[str]) -> tuple[str, ...]:
    """The first names that differ by case only: SQL takes one for the other, here as in Spark; () where none do."""
    by_lower: dict[str, list[str]] = {}
    for name in names:
        by_lower.setdefault(name.lower(), []).append(name)
    return next((tuple(same) for same in by_lower.values() if len(same) > 1), ())


def case_problem(names: Iterable[str]) -> str:
    """The same, as the beginning of an error; empty where none do."""
    alike = " and ".join(map(repr, alike_but_for_case(names)))
    return f"{alike} differ by case only, which SQL does not see" if alike else ""


def named_features(features: Iterable[FeatureSpec]) -> dict[str, FeatureSpec]:
    """Features by name.

    Raises:
        ValueError: two features have one name, or two that differ by case only.
    """
    by_name: dict[str, FeatureSpec] = {}
    for feature in features:
        if feature.name in by_name:
            raise ValueError(f"features: {feature.name!r} is declared twice")
        by_name[feature.name] = feature
    if problem := case_problem(by_name):
        raise ValueError(f"features: {problem}")
    return by_name


def feature_hash(features: Iterable[FeatureSpec], label: Any, key: Iterable[str], event_time: str) -> str:
    """Identity of a feature table's rows: 16 hex digits over definitions, label, key and time column."""
    value = [[f.model_dump(mode="json") for f in features], label, list(key), event_time]
    return sha256_hex(canonical_json(value))[:16]


class EncodedFeature(Frozen):
    """A feature as the booster knows it; `categories` fixes the code of each value (its index).

    `column` and `expression` say what the server does with a caller's columns, `as_of` how training made the values of
    such a column: callers send them by the feature's name, as one raw row does not know its entity's past.
    """

    name: FeatureName
    type: FeatureType
    column: str | None = None
    expression: str | None = None
    categories: tuple[str, ...] = ()
    as_of: AsOf | None = None

    @model_serializer(mode="wrap")
    def _without_absent_past(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        document: dict[str, Any] = handler(self)
        return {k: v for k, v in document.items() if v is not None or k != "as_of"}


class FeatureEncoding(Frozen):
    """Order, types and category codes of a model's inputs; travels with the model as `encoding.json`."""

    features: tuple[EncodedFeature, ...]
    source_columns: dict[str, str] = Field(
        default_factory=dict, description="Raw columns a caller sends -> their type."
    )

    @property
    def past_columns(self) -> list[str]:
        """As-of features: the columns of a caller's row that are in no source table."""
        return [f.name for f in self.features if f.as_of is not None]

    @property
    def raw_columns(self) -> list[str]:
        """The source table's columns that a caller's row has."""
        past = self.past_columns
        return [name for name in self.source_columns if name not in past]

    @property
    def names(self) -> list[str]:
        """Feature names in the booster's order."""
        return [f.name for f in self.features]

    @property
    def xgboost_types(self) -> list[str]:
        """'q' for a quantity, 'c' for a category, in the booster's order."""
        return ["c" if f.type == "categorical" else "q" for f in self.features]
