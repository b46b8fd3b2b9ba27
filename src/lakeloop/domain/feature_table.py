"""The feature table of a use case: its columns as SQL, and which ranges of it a training needs. Pure.

Columns: the table's key and event time, `_label` (double, 0 or 1), the features by name (numeric: double, categorical:
string), `_slice_<column>` (string) for the gate's slices, and `_range_id` (string, identity partition).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lakeloop.domain.base import canonical_json
from lakeloop.domain.dialects import SPARK, Dialect
from lakeloop.domain.encoding import source_columns
from lakeloop.domain.errors import UserError
from lakeloop.domain.feature_rows import LABEL_COLUMN, SLICE_PREFIX
from lakeloop.domain.features import FeatureSpec, FeatureType, case_problem, feature_hash
from lakeloop.domain.labels import label_sql, unknown_label_sql
from lakeloop.domain.past_columns import PastColumns, past_columns
from lakeloop.domain.plan import Plan
from lakeloop.domain.snapshots import RANGE_ID_COLUMN, Snapshot, SnapshotRange, TableState, ancestry
from lakeloop.domain.use_case import UseCase, Window

RANGE_PROPERTY = "lakeloop.range-id"
RANGE_FROM_PROPERTY = "lakeloop.range-from"
RANGE_TO_PROPERTY = "lakeloop.range-to"
FEATURE_HASH_PROPERTY = "lakeloop.feature-hash"
UNKNOWN_LABEL = "lakeloop: label of neither class"
SOURCE_UUID_PROPERTY = "lakeloop.source-table-uuid"
RANGE_READ_PROPERTY = "lakeloop.range-read"
NET_CHANGES = "changes"
RANGE_RECORD_PREFIX = "lakeloop.range."
"""Table property `lakeloop.range.RANGE_ID`, set in the commit that publishes the range: it outlives the snapshot."""
_SPARK_TYPES = {"timestamptz": "timestamp", "timestamp": "timestamp_ntz", "long": "bigint"}
_NO_CATEGORY = ("float", "double", "decimal", "time", "binary", "fixed")
_OWN_PREFIXES = (SLICE_PREFIX, "_past_")
_NO_NUMBER = ("date", "time", "timestamp", "timestamptz", "binary", "uuid", "fixed")


@dataclass(frozen=True)
class FeatureColumn:
    """A column of the feature table: its Spark SQL type, and the expression over the source row.

    `sql` is None for what looks at earlier rows: `FeatureTable.past` says how that is computed.
    """

    name: str
    type: str
    sql: str | None


@dataclass(frozen=True)
class FeatureTable:
    """What is computed from a source row; `order` is event time, then the other columns of the key.

    `past` has one entry an entity that as-of features look at.
    """

    name: str
    hash: str
    order: tuple[str, ...]
    columns: tuple[FeatureColumn, ...]
    past: tuple[PastColumns, ...] = ()

    @property
    def types(self) -> dict[str, str]:
        """Column -> Spark SQL type, `_range_id` included."""
        return {c.name: c.type for c in self.columns} | {RANGE_ID_COLUMN: "string"}


@dataclass(frozen=True)
class BuiltRange:
    """A range whose rows the feature table holds; `read` is `changes` where they are net changes, else empty."""

    range_id: str
    from_snapshot_id: str | None
    to_snapshot_id: str
    snapshot_id: str
    rows: int
    read: str = ""

    def record(self, feature_hash: str) -> tuple[str, str]:
        """Name and value of the table property that keeps it."""
        value = [self.from_snapshot_id, self.to_snapshot_id, self.rows, self.read, feature_hash]
        return f"{RANGE_RECORD_PREFIX}{self.range_id}", canonical_json(value)


def feature_table(use_case: UseCase, source: Mapping[str, str], dialect: Dialect = SPARK) -> FeatureTable:
    """The feature table over a source table.

    Args:
        use_case: declares features, label, key, event time and slices.
        source: the source table's columns -> Iceberg types, in the schema that is read.
        dialect: of the engine that evaluates the expressions; name, hash and types do not depend on it.

    Raises:
        UserError: a column is not in the table, two names are one in SQL, a feature has a name of the feature table's
            own or reads the label, or it has no number for a model.
    """
    _check_columns(use_case, source)
    _check_names(use_case, source)
    _check_dates(use_case, source)
    types = {f.name: _feature_type(f, source, use_case.label.column) for f in use_case.features}
    order = use_case.table.order
    columns = {c: FeatureColumn(c, _SPARK_TYPES.get(source[c], source[c]), dialect.quoted(c)) for c in order}
    columns[LABEL_COLUMN] = FeatureColumn(LABEL_COLUMN, "double", _label(use_case, source, dialect))
    for feature in use_case.features:
        sql, ordering = feature.row_sql(use_case.table.event_time, dialect), columns.get(feature.name)
        columns[feature.name] = _feature(feature, types[feature.name], sql, ordering)
    for gate in use_case.gate.slices:
        name = f"{SLICE_PREFIX}{gate.column}"
        columns[name] = FeatureColumn(name, "string", f"CAST({dialect.quoted(gate.column)} AS STRING)")
    return FeatureTable(
        name=f"{use_case.table.name}__{use_case.name}_features",
        hash=_hash(use_case, types),
        order=order,
        columns=tuple(columns.values()),
        past=past_columns(use_case, types, source, dialect),
    )


def built_ranges(state: TableState | None, feature_hash: str) -> dict[str, BuiltRange]:
    """Ranges of one feature definition that the feature table's main holds, oldest first, by range id.

    By the commits of main's history; where the oldest of these have expired, also by the records that they left in the
    table's properties. Such a range is read at main's head: its own snapshot may be gone.
    """
    if state is None or state.current_snapshot_id is None:
        return {}
    history = ancestry(state)
    found = {
        built.range_id: built
        for snapshot in reversed(history.snapshots)
        if (built := _built(snapshot, feature_hash)) is not None
    }
    if history.end == "root":
        return found
    recorded = _recorded(state, feature_hash)
    return {r.range_id: r for r in recorded if r.range_id not in found} | found


def built_chain(
    built: Mapping[str, BuiltRange], path: Sequence[str], *, strict: bool
) -> tuple[BuiltRange, ...]:
    """Ranges that follow each other and end on main's path, oldest first: each row of the source table once.

    What was computed a second time, in other ranges, is left out; so is what main does not hold any more.

    Args:
        built: oldest first.
        path: the source's snapshots from the one that is looked at to the oldest.
        strict: nothing where no range ends on the path, as its snapshots may have expired; else the last built.
    """
    by_end = {b.to_snapshot_id: b for b in built.values()}
    newest = next((by_end[s] for s in path if s in by_end), None)
    if newest is None:
        if strict or not built:
            return ()
        newest = list(built.values())[-1]
    chain = [newest]
    while (start := chain[-1].from_snapshot_id) is not None and start in by_end and len(chain) <= len(built):
        chain.append(by_end[start])
    return tuple(reversed(chain))


def _built(snapshot: Snapshot, feature_hash: str) -> BuiltRange | None:
    told = snapshot.summary
    if RANGE_PROPERTY not in told or told.get(FEATURE_HASH_PROPERTY) != feature_hash:
        return None
    return BuiltRange(
        range_id=told[RANGE_PROPERTY],
        from_snapshot_id=told.get(RANGE_FROM_PROPERTY) or None,
        to_snapshot_id=told[RANGE_TO_PROPERTY],
        snapshot_id=snapshot.snapshot_id,
        rows=snapshot.count("added-records") or 0,
        read=told.get(RANGE_READ_PROPERTY, ""),
    )


def _recorded(state: TableState, feature_hash: str) -> list[BuiltRange]:
    found = []
    for name, value in state.properties.items():
        if not name.startswith(RANGE_RECORD_PREFIX):
            continue
        range_id = name.removeprefix(RANGE_RECORD_PREFIX)
        start, end, rows, read, of_hash = json.loads(value)
        if of_hash == feature_hash:
            found.append(BuiltRange(range_id, start, end, str(state.current_snapshot_id), rows, read))
    return found


def window_ranges(
    window: Window, newest: SnapshotRange, built: Mapping[str, BuiltRange]
) -> tuple[SnapshotRange, ...]:
    """The newest range and the earlier ones that the window asks for, newest first.

    The chain goes back through ranges that were built before, each ending where the next begins; where it breaks
    off, everything earlier is one range from the first row. Of two built ranges with the same end, the later built.
    """
    wanted = {"increment": 1, "warm_start": 1, "last_n": window.ranges}.get(window.policy)
    by_end = {b.to_snapshot_id: b for b in built.values()}
    chain = [newest]
    while chain[-1].from_snapshot_id is not None and (wanted is None or len(chain) < wanted):
        end = chain[-1].from_snapshot_id
        earlier = by_end.get(end)
        start = earlier.from_snapshot_id if earlier else None
        chain.append(newest.model_copy(update={"from_snapshot_id": start, "to_snapshot_id": end}))
    return tuple(chain)


def rows_to_read(
    state: TableState, plan: Plan, table: FeatureTable, missing: Sequence[SnapshotRange]
) -> int | None:
    """At most so many rows are read to compute the ranges; None where the metadata does not tell.

    Args:
        state: the source table.
        plan: of the newest range.
        table: the feature table; what looks back may read all rows up to a range's end.
        missing: ranges that are to be computed.
    """
    by_id = {s.snapshot_id: s for s in state.snapshots}
    counts = []
    for range_ in missing:
        end = by_id.get(range_.to_snapshot_id)
        whole = end.count("total-records") if end is not None else None
        alone = range_ == plan.range and range_.from_snapshot_id is not None and not table.past
        counts.append(plan.added_rows if alone and plan.added_rows is not None else whole)
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def read_columns(use_case: UseCase, source: Mapping[str, str]) -> list[str]:
    """The source columns that a feature table's rows are computed from, in the source's order."""
    wanted = {use_case.table.event_time, *use_case.table.key, use_case.label.column}
    wanted |= {s.column for s in use_case.gate.slices} | {
        c for f in use_case.features for c in f.read_columns
    }
    wanted |= set(source_columns(use_case.features, source, use_case.table.event_time))
    return [name for name in source if name in wanted]


def seen_columns(use_case: UseCase, source: Mapping[str, str]) -> list[str]:
    """The source columns that as-of features look at in earlier rows, in the source's order."""
    past = [f for f in use_case.features if f.as_of is not None]
    wanted = {use_case.table.event_time, *use_case.table.key} | {c for f in past for c in f.read_columns}
    return [name for name in source if name in wanted]


def missing_columns(table: FeatureTable, existing: Sequence[tuple[str, str]]) -> dict[str, str] | None:
    """Columns that an existing feature table lacks -> type; None where one has another type.

    Args:
        table: what is wanted.
        existing: (name, Iceberg type) of the existing feature table.
    """
    have = {name: _SPARK_TYPES.get(kind, kind) for name, kind in existing}
    if any(name in have and have[name] != kind for name, kind in table.types.items()):
        return None
    return {name: kind for name, kind in table.types.items() if name not in have}


def _label(use_case: UseCase, source: Mapping[str, str], dialect: Dialect) -> str:
    """The label; a value of neither class stops the job."""
    kind = source[use_case.label.column]
    unknown = unknown_label_sql(use_case.label, kind, dialect)
    known = label_sql(use_case.label, kind, dialect)
    return f"CASE WHEN {unknown} THEN {dialect.failing(UNKNOWN_LABEL)} ELSE {known} END"


def _check_columns(use_case: UseCase, source: Mapping[str, str]) -> None:
    places = [("table.key", c) for c in use_case.table.key]
    places += [("table.event_time", use_case.table.event_time), ("label.column", use_case.label.column)]
    places += [("features", c) for f in use_case.features for c in f.read_columns]
    places += [("gate.slices", s.column) for s in use_case.gate.slices]
    for where, column in places:
        if column not in source:
            raise UserError(
                f"column {column!r} is not in {use_case.table.name}",
                where=where,
                fix=f"it has {', '.join(source)}",
            )
    for feature in use_case.features:
        if feature.as_of is None and source_columns([feature], {use_case.label.column: ""}):
            raise UserError(
                f"{feature.name!r} reads the label {use_case.label.column!r}",
                where="features",
                fix="a feature may only see what is known before the label",
            )
        if feature.as_of is not None and feature.name in source:
            raise UserError(
                f"{feature.name!r} looks at earlier rows and has a column's name",
                where="features",
                fix="give it its own name: callers send its value beside the table's columns",
            )


def _check_names(use_case: UseCase, source: Mapping[str, str]) -> None:
    """Each name means one column: of the rows that are read, and of the feature table."""
    if problem := case_problem(read_columns(use_case, source)):
        raise UserError(f"columns {problem}", where=use_case.table.name, fix="rename one of them")
    ordering = use_case.table.order
    features = [f.name for f in use_case.features]
    own = [
        n
        for n in (*ordering, *features)
        if n in {LABEL_COLUMN, RANGE_ID_COLUMN} or n.startswith(_OWN_PREFIXES)
    ]
    if own:
        raise UserError(
            f"{own[0]!r} is a name that the feature table uses itself",
            where="features" if own[0] in features else "table.key",
            fix="give it another name" + (": {name: OTHER, column: NAME}" if own[0] in features else ""),
        )
    if problem := case_problem(dict.fromkeys([*ordering, *features])):
        raise UserError(problem, where="features", fix="give another name")


def _feature_type(feature: FeatureSpec, source: Mapping[str, str], label: str) -> FeatureType:
    past = feature.as_of
    valued = feature.column
    if past and past.aggregate != "count" and (past.of != label or past.aggregate == "last"):
        valued = past.of
    kind = source[valued] if valued else "double"
    text_fits = past is None or past.aggregate == "last"
    default: FeatureType = "categorical" if kind == "string" and text_fits else "numeric"
    resolved = feature.type or default
    if resolved == "numeric" and (kind.startswith(_NO_NUMBER) or kind == "string"):
        raise UserError(
            f"{feature.name!r}: a column of type {kind} is no number",
            where="features",
            fix="declare type: categorical, or an expression that makes a number of it",
        )
    if resolved == "categorical" and kind.startswith(_NO_CATEGORY) and valued:
        raise UserError(
            f"{feature.name!r}: a column of type {kind} has no categories: engines write its values differently",
            where="features",
            fix="declare an expression that makes text or a whole number of it, such as CAST(floor(x) AS BIGINT)",
        )
    return resolved


def _check_dates(use_case: UseCase, source: Mapping[str, str]) -> None:
    """Years can be counted from a date, and an entity's past needs an order in time."""
    event_time = use_case.table.event_time
    for feature in use_case.features:
        dated = [feature.date_column, event_time] if feature.date_column else []
        for column in dated or ([event_time] if feature.as_of else []):
            if column and not source[column].startswith(("date", "timestamp")):
                raise UserError(
                    f"{feature.name!r}: a column of type {source[column]} is no date",
                    where=f"features: {column}",
                    fix="count from a column of type date or timestamp",
                )


def _feature(
    feature: FeatureSpec, kind: FeatureType, sql: str | None, ordering: FeatureColumn | None
) -> FeatureColumn:
    """A feature of the name of a key or time column must be that column, and keeps its type where it can."""
    if ordering is not None:
        if feature.column != feature.name:
            raise UserError(
                f"{feature.name!r} is the name of a key or time column",
                where="features",
                fix="give it another name",
            )
        if kind == "numeric":
            return ordering
    target = "double" if kind == "numeric" else "string"
    return FeatureColumn(feature.name, target, None if sql is None else f"CAST({sql} AS {target.upper()})")


def _hash(use_case: UseCase, types: Mapping[str, FeatureType]) -> str:
    features = [f.model_copy(update={"type": types[f.name]}) for f in use_case.features]
    label = [use_case.label.model_dump(mode="json"), [s.column for s in use_case.gate.slices]]
    return feature_hash(features, label, use_case.table.key, use_case.table.event_time)
