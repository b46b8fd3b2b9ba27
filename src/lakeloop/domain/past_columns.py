"""What as-of features need of every row: hidden columns beside a row's own, as SQL; one set an entity. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lakeloop.domain.dialects import MICROSECONDS_A_DAY, Dialect
from lakeloop.domain.features import Aggregate, AsOf, FeatureType
from lakeloop.domain.labels import label_sql
from lakeloop.domain.use_case import UseCase

AT = "_past_at"
"""Event time in microseconds since 1970; null: the row has no place in time."""
ROLE = "_past_role"
"""Whether a row is seen by later ones, is one of the rows that look back, or both."""
SEEN, LOOKS, BOTH = 1, 2, 3
_LARGEST = 1.7976931348623157e308


@dataclass(frozen=True)
class PastFeature:
    """One as-of feature; `value` is the hidden column that it aggregates, None where it looks at rows."""

    name: str
    aggregate: Aggregate
    value: str | None
    window_us: int | None
    delay_us: int


@dataclass(frozen=True)
class PastColumns:
    """Hidden columns -> SQL over a source row, by what they are for; rows are ordered by all of them, as listed.

    `entity` columns say whose row it is; `keys` and `values` settle the order of rows of one instant, so that sums and
    last values depend on the set of rows only. `texts` are those values that are no numbers.
    """

    source_entity: tuple[str, ...]
    entity: dict[str, str]
    at: str
    keys: dict[str, str]
    values: dict[str, str]
    texts: frozenset[str]
    features: tuple[PastFeature, ...]

    @property
    def sql(self) -> dict[str, str]:
        """All hidden columns but the role."""
        return {**self.entity, AT: self.at, **self.keys, **self.values}

    @property
    def names(self) -> list[str]:
        """All hidden columns."""
        return [*self.sql, ROLE]


def past_columns(
    use_case: UseCase, types: Mapping[str, FeatureType], source: Mapping[str, str], dialect: Dialect
) -> tuple[PastColumns, ...]:
    """One entry an entity, in the order of the features.

    Args:
        use_case: declares features, key, event time and label.
        types: of the features.
        source: the source table's columns -> Iceberg types.
        dialect: of the engine that evaluates the columns.
    """
    entities = dict.fromkeys(f.as_of.entity for f in use_case.features if f.as_of)
    return tuple(_of_entity(entity, use_case, types, source, dialect) for entity in entities)


def _of_entity(
    entity: tuple[str, ...],
    use_case: UseCase,
    types: Mapping[str, FeatureType],
    source: Mapping[str, str],
    dialect: Dialect,
) -> PastColumns:
    values, texts, features = dict[str, str](), set[str](), list[PastFeature]()
    for feature in use_case.features:
        if feature.as_of is None or feature.as_of.entity != entity:
            continue
        alias = None
        if feature.as_of.of is not None:
            is_text = types[feature.name] == "categorical"
            sql = _value(feature.as_of, use_case, source[feature.as_of.of], dialect, is_text=is_text)
            alias = next((a for a, known in values.items() if known == sql), f"_past_value_{len(values)}")
            values[alias] = sql
            texts |= {alias} if is_text else set()
        features.append(_past_feature(feature.name, feature.as_of, alias))
    event_time = use_case.table.event_time
    return PastColumns(
        source_entity=entity,
        entity={f"_past_entity_{i}": _entity(c, source[c], dialect) for i, c in enumerate(entity)},
        at=dialect.microseconds(dialect.quoted(event_time), source[event_time]),
        keys={f"_past_key_{i}": dialect.quoted(c) for i, c in enumerate(use_case.table.key)},
        values=values,
        texts=frozenset(texts),
        features=tuple(features),
    )


def _entity(name: str, kind: str, dialect: Dialect) -> str:
    """A column that names an entity; of numbers with a point NaN and infinities name none, and the two zeros one."""
    column = dialect.quoted(name)
    if kind not in {"float", "double"}:
        return column
    return f"CASE WHEN {column} = 0 THEN 0 WHEN abs({column}) <= {_LARGEST!r} THEN {column} END"


def _past_feature(name: str, as_of: AsOf, value: str | None) -> PastFeature:
    window = None if as_of.window_days is None else round(as_of.window_days * MICROSECONDS_A_DAY)
    return PastFeature(name, as_of.aggregate, value, window, round(as_of.delay_days * MICROSECONDS_A_DAY))


def _value(as_of: AsOf, use_case: UseCase, kind: str, dialect: Dialect, *, is_text: bool) -> str:
    """A DOUBLE (or text) that is null where it is unknown: NaN and infinities are no values to aggregate."""
    column = dialect.quoted(str(as_of.of))
    if is_text:
        return f"CAST({column} AS STRING)"
    if as_of.of == use_case.label.column:
        return label_sql(use_case.label, kind, dialect)
    if kind in {"float", "double"}:
        number = f"CAST({column} AS DOUBLE)"
        return f"CASE WHEN abs({number}) <= {_LARGEST!r} THEN {number} END"
    if as_of.aggregate == "count":
        return f"CASE WHEN {column} IS NOT NULL THEN 1e0 END"
    return f"CAST({column} AS DOUBLE)"
