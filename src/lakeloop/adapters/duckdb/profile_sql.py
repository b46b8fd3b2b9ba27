"""The profile's SQL, and what its answers mean. Column i is `v<i>` (typed) and `x<i>` (invalid)."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import Any

from lakeloop.domain.batch import Batch
from lakeloop.domain.dialects import DUCKDB
from lakeloop.domain.profile import Bin, ColumnProfile, Profile, ValueCount
from lakeloop.domain.time_formats import instant
from lakeloop.domain.use_case import UseCase

MOST_BINS = 30
TOP_VALUES = 10
QUANTILES = {"p05": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95}
_TYPES = {
    "string": "VARCHAR",
    "boolean": "BOOLEAN",
    "int": "BIGINT",
    "long": "BIGINT",
    "float": "DOUBLE",
    "double": "DOUBLE",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
}
_NUMBERS = {"int", "long", "float", "double"}
_TIMES = {"date", "timestamp"}


def typed_sql(
    use_case: UseCase, columns: Sequence[str], *, texts: bool, nanoseconds: Collection[str] = ()
) -> str:
    """A SELECT that gives each column its declared type, null where the value is not of it.

    Args:
        use_case: declares the types.
        columns: those that the files have.
        texts: whether the files hold text only.
        nanoseconds: columns of instants in nanoseconds, of which DuckDB gives no microseconds.
    """
    parts = []
    for i, name in enumerate(columns):
        kind = use_case.table.columns[name]
        written = use_case.time_format(name)
        value = _typed(_identifier(name), kind, texts=texts)
        if name in nanoseconds and kind == "timestamp":
            value = f"make_timestamp(epoch_ns({_identifier(name)}) // 1000)"
        if written is not None:
            value = f"CAST({instant(DUCKDB, _identifier(name), written)} AS {_TYPES[kind]})"
        parts += [f"{value} AS v{i}", f"({_identifier(name)} IS NOT NULL AND {value} IS NULL) AS x{i}"]
    return f"SELECT {', '.join(parts)} FROM batch"  # noqa: S608 - identifiers are quoted


def _typed(column: str, kind: str, *, texts: bool) -> str:
    if kind == "timestamp" and not texts:
        # Instants stay in UTC without DuckDB's time zone extension.
        return f"make_timestamp(epoch_us({column}))"
    value = f"TRY_CAST({column} AS {_TYPES[kind]})"
    if texts and kind in {"int", "long"}:
        # DuckDB would round 3.7 to 4.
        return f"(CASE WHEN TRY_CAST({column} AS DOUBLE) = {value} THEN {value} END)"
    return f"(CASE WHEN isfinite({value}) THEN {value} END)" if kind in {"float", "double"} else value


def statistics_sql(use_case: UseCase, columns: Sequence[str], view: str) -> str:
    """One row: the row count, the label's counts, and the aggregates of every column."""
    parts = ["count(*) AS rows", *_label_sql(use_case, columns)]
    for i, name in enumerate(columns):
        kind = use_case.table.columns[name]
        parts += [
            f"count(v{i}) AS n{i}",
            f"count(*) FILTER (WHERE x{i}) AS bad{i}",
            f"approx_count_distinct(v{i}) AS d{i}",
        ]
        parts += [f"CAST(min(v{i}) AS VARCHAR) AS lo{i}", f"CAST(max(v{i}) AS VARCHAR) AS hi{i}"]
        if kind in _NUMBERS:
            parts += [f"avg(v{i}) AS mean{i}", f"stddev_samp(CAST(v{i} AS DOUBLE)) AS std{i}"]
        if kind in _NUMBERS | _TIMES:
            shares = [0.01, *QUANTILES.values(), 0.99]
            number = _number(i, kind)
            parts += [
                f"min({number}) AS f{i}",
                f"max({number}) AS l{i}",
                f"approx_quantile({number}, {shares}) AS q{i}",
            ]
        else:
            parts.append(f"approx_top_k(CAST(v{i} AS VARCHAR), {TOP_VALUES}) AS t{i}")
    return f"SELECT {', '.join(parts)} FROM ({view})"  # noqa: S608


def _number(i: int, kind: str) -> str:
    return f"epoch(CAST(v{i} AS TIMESTAMP))" if kind in _TIMES else f"CAST(v{i} AS DOUBLE)"


def _label_sql(use_case: UseCase, columns: Sequence[str]) -> list[str]:
    label = use_case.label
    if label.column not in columns:
        return ["0 AS labelled", "0 AS positives"]
    i = list(columns).index(label.column)
    positive = label.positive if label.positive is not None else True
    if isinstance(positive, str) and use_case.table.columns[label.column] == "string":
        test = f"v{i} = {_literal(positive)}"
    else:
        test = f"TRY_CAST(v{i} AS DOUBLE) = {float(positive)!r}"
    return [f"count(v{i}) AS labelled", f"count(*) FILTER (WHERE {test}) AS positives"]


def histogram_sql(use_case: UseCase, columns: Sequence[str], view: str, found: dict[str, Any]) -> str:
    """One row of maps: rows by bin number of each number and time, rows by frequent value of the others."""
    parts = ["count(*) AS rows"]
    for i, name in enumerate(columns):
        edges, frequent = _edges(found, i), found.get(f"t{i}")
        if edges:
            parts.append(_bin(i, use_case.table.columns[name], edges))
        if frequent:
            values = ", ".join(_literal(value) for value in frequent)
            text = f"CAST(v{i} AS VARCHAR)"
            parts.append(f"histogram({text}) FILTER (WHERE {text} IN ({values})) AS h{i}")
    return f"SELECT {', '.join(parts)} FROM ({view})"  # noqa: S608


def _bin(i: int, kind: str, edges: list[float]) -> str:
    low, high, inner = edges[1], edges[-2], len(edges) - 3
    number = _number(i, kind)
    place = f"floor(({number} - {low!r}) / {(high - low)!r} * {inner}) + 1"
    within = f"CAST(greatest(0, least({inner + 1}, {place})) AS INTEGER)"
    return f"histogram({within}) FILTER (WHERE v{i} IS NOT NULL) AS h{i}"


def _edges(found: dict[str, Any], i: int) -> list[float]:
    """Ends of the bins: smallest value, equal steps from p01 to p99, largest value; or none."""
    quantiles = found.get(f"q{i}")
    if not quantiles or not found[f"n{i}"]:
        return []
    low, high = quantiles[0], quantiles[-1]
    first, last = min(found[f"f{i}"], low), max(found[f"l{i}"], high)
    if not low < high:
        low, high = first, last
    if not low < high or not math.isfinite(last - first):
        return []
    steps = min(MOST_BINS - 2, max(int(found[f"d{i}"]), 1))
    return [first, *(low + (high - low) * k / steps for k in range(steps + 1)), last]


def profile_of(
    use_case: UseCase, batch: Batch, columns: Sequence[str], found: dict[str, Any], bins: dict[str, Any]
) -> Profile:
    """The answers as a document."""
    labelled, positives = int(found["labelled"]), int(found["positives"])
    described = [
        _column(name, use_case.table.columns[name], i, found, bins) for i, name in enumerate(columns)
    ]
    absent = [c for c in use_case.table.columns if c not in columns]
    return Profile(
        batch_id=batch.batch_id,
        rows=found["rows"],
        files=len(batch.files),
        label_column=use_case.label.column,
        labelled_rows=labelled,
        label_rate=positives / labelled if labelled else None,
        columns=tuple(described),
        note=f"not in the files: {', '.join(absent)}" if absent else "",
    )


def _column(name: str, kind: str, i: int, found: dict[str, Any], bins: dict[str, Any]) -> ColumnProfile:
    valid, invalid = found[f"n{i}"], found[f"bad{i}"]
    quantiles = (found.get(f"q{i}") or []) if valid else []
    return ColumnProfile(
        name=name,
        type=kind,
        nulls=found["rows"] - valid - invalid,
        invalid=invalid,
        distinct=min(int(found[f"d{i}"]), valid),
        min=found[f"lo{i}"],
        max=found[f"hi{i}"],
        mean=_finite(found.get(f"mean{i}")),
        std=_finite(found.get(f"std{i}")),
        quantiles=dict(zip(QUANTILES, quantiles[1:-1], strict=True)) if quantiles else {},
        top=_top(bins.get(f"h{i}") or {}) if found.get(f"t{i}") else (),
        histogram=_bins(_edges(found, i), bins.get(f"h{i}") or {}),
    )


def _top(counts: dict[str, int]) -> tuple[ValueCount, ...]:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple(ValueCount(value=value, rows=rows) for value, rows in ordered)


def _bins(edges: list[float], counts: dict[int, int]) -> tuple[Bin, ...]:
    pairs = enumerate(pairwise(edges))
    return tuple(Bin(low=low, high=high, rows=counts.get(k, 0)) for k, (low, high) in pairs)


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
