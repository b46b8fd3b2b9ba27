"""What a model sees of a row: columns and expressions, declared without naming an engine."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

from pydantic import Field, GetJsonSchemaHandler, StringConstraints, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from lakeloop.domain.base import Frozen, canonical_json, sha256_hex

FeatureName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")]
FeatureType = Literal["numeric", "categorical"]


class FeatureSpec(Frozen):
    """One input of the model: a column as it is, or a SQL expression over the row's columns.

    In YAML a bare column name stands for `{name: COLUMN, column: COLUMN}`. Expressions are scalar SQL that
    Spark and DuckDB read alike (arithmetic, comparison, CASE, COALESCE, ln, exp, sqrt, abs, floor, least,
    greatest); a test runs every committed use case's expressions on both.
    """

    name: FeatureName
    column: str | None = None
    expression: str | None = None
    type: FeatureType | None = Field(
        default=None, description="Default: from the column's type; expressions are numeric."
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
        if (
            isinstance(value, dict)
            and not value.get("column")
            and not value.get("expression")
            and "name" in value
        ):
            return {**value, "column": value["name"]}
        return value

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if bool(self.column) == bool(self.expression):
            raise ValueError(f"feature {self.name!r}: give either column or expression")
        return self


def named_features(features: Iterable[FeatureSpec]) -> dict[str, FeatureSpec]:
    """Features by name.

    Raises:
        ValueError: two features have one name.
    """
    by_name: dict[str, FeatureSpec] = {}
    for feature in features:
        if feature.name in by_name:
            raise ValueError(f"features: {feature.name!r} is declared twice")
        by_name[feature.name] = feature
    return by_name


def feature_hash(features: Iterable[FeatureSpec], label: Any, key: Iterable[str], event_time: str) -> str:
    """Identity of a feature table's rows: 16 hex digits over definitions, label, key and time column."""
    value = [[f.model_dump(mode="json") for f in features], label, list(key), event_time]
    return sha256_hex(canonical_json(value))[:16]


class EncodedFeature(Frozen):
    """A feature as the booster knows it; `categories` fixes the code of each value (its index)."""

    name: FeatureName
    type: FeatureType
    column: str | None = None
    expression: str | None = None
    categories: tuple[str, ...] = ()


class FeatureEncoding(Frozen):
    """Order, types and category codes of a model's inputs; travels with the model as `encoding.json`."""

    features: tuple[EncodedFeature, ...]
    source_columns: dict[str, str] = Field(
        default_factory=dict, description="Raw columns a caller sends -> their type."
    )

    @property
    def names(self) -> list[str]:
        """Feature names in the booster's order."""
        return [f.name for f in self.features]

    @property
    def xgboost_types(self) -> list[str]:
        """'q' for a quantity, 'c' for a category, in the booster's order."""
        return ["c" if f.type == "categorical" else "q" for f in self.features]
