"""Expectations: declared rules -> SQL aggregates of one pass over the batch -> what each rule found. Pure.

Rules: `not_null(c)`, `max_null_fraction(c)`, `range(c)`, `allowed(c)` look at rows; `unique(...)`, `new(...)`,
`rows`, `label_values(c)`, `label_classes(c)`, `label_rate(c)` at the batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lakeloop.domain.batch import RuleResult
from lakeloop.domain.dialects import SPARK, Dialect
from lakeloop.domain.labels import label_sql, negative_sql, unknown_label_sql
from lakeloop.domain.use_case import Bounds, UseCase


@dataclass(frozen=True)
class RowRule:
    """A rule about single rows; `broken` is a SQL predicate, never NULL."""

    name: str
    broken: str
    expected: str
    allowed_fraction: float = 0.0


def row_rules(use_case: UseCase, dialect: Dialect = SPARK) -> tuple[RowRule, ...]:
    """The declared rules that can name the rows which break them."""
    expected, name = use_case.expectations, dialect.quoted
    rules = [RowRule(f"not_null({c})", f"({name(c)} IS NULL)", "no null") for c in expected.not_null]
    rules += [
        RowRule(
            f"max_null_fraction({c})",
            f"({name(c)} IS NULL)",
            f"null in at most {share * 100:.4g} % of the rows",
            share,
        )
        for c, share in expected.max_null_fraction.items()
    ]
    rules += [_range(use_case, column, bounds, dialect) for column, bounds in expected.ranges.items()]
    rules += [_allowed(column, values, dialect) for column, values in expected.allowed.items()]
    unknown = unknown_label_sql(use_case.label, label_type(use_case), dialect)
    return (*rules, RowRule(f"label_values({use_case.label.column})", unknown, "two classes"))


def label_type(use_case: UseCase) -> str:
    """Declared type of the label column."""
    return use_case.table.columns.get(use_case.label.column, "int")


def audit_sql(use_case: UseCase, dialect: Dialect = SPARK) -> dict[str, str]:
    """Alias -> SQL aggregate over the staged rows; all of them in one SELECT."""
    label = label_sql(use_case.label, label_type(use_case), dialect)
    other = negative_sql(use_case.label, label_type(use_case), dialect)
    aggregates = {
        "rows": "count(1)",
        "positives": f"coalesce(sum({label}), 0e0)",
        "labels": f"count({label})",
        "first_negative": f"min({other})",
        "last_negative": f"max({other})",
    }
    for index, rule in enumerate(row_rules(use_case, dialect)):
        aggregates[f"broken_{index}"] = f"count(CASE WHEN {rule.broken} THEN 1 END)"
    if unique := use_case.expectations.unique:
        columns = [dialect.quoted(c) for c in unique]
        aggregates["distinct_keys"] = f"count(DISTINCT {dialect.row_of(columns)})"
        aggregates |= {"first_key": f"min({columns[0]})", "last_key": f"max({columns[0]})"}
    return aggregates


def judge(use_case: UseCase, found: Mapping[str, Any], known_keys: int = 0) -> tuple[RuleResult, ...]:
    """What every rule found.

    Args:
        use_case: the declared expectations.
        found: the row that `audit_sql` gives.
        known_keys: rows of the batch whose unique columns the table has already.
    """
    rows = int(found["rows"])
    results = [_rows(use_case.expectations.rows, rows)]
    for index, rule in enumerate(row_rules(use_case)):
        results.append(_judge_rows(rule, int(found[f"broken_{index}"]), rows))
    if use_case.expectations.unique:
        results += _unique(use_case.expectations.unique, rows, int(found["distinct_keys"]), known_keys)
    return (*results, *_labels(use_case, found))


def broken(results: Iterable[RuleResult]) -> tuple[RuleResult, ...]:
    """The rules that were not met."""
    return tuple(r for r in results if not r.passed)


def summary(results: Iterable[RuleResult]) -> str:
    """The broken rules in one line."""
    return "; ".join(f"{r.rule}: {r.observed}, expected {r.expected}" for r in broken(results))


def _range(use_case: UseCase, column: str, bounds: Bounds, dialect: Dialect) -> RowRule:
    name = dialect.quoted(column)
    tests = [f"{name} < CAST({bounds.min!r} AS DOUBLE)"] if bounds.min is not None else []
    tests += [f"{name} > CAST({bounds.max!r} AS DOUBLE)"] if bounds.max is not None else []
    if use_case.table.columns.get(column) in {"float", "double"}:
        tests.append(f"isnan({name})")
    predicate = " OR ".join(tests) or "false"
    return RowRule(f"range({column})", f"coalesce({predicate}, false)", _interval(bounds))


def _allowed(column: str, values: tuple[str, ...], dialect: Dialect) -> RowRule:
    listed = ", ".join(map(dialect.text, values)) or "''"
    predicate = f"coalesce(CAST({dialect.quoted(column)} AS STRING) NOT IN ({listed}), false)"
    return RowRule(f"allowed({column})", predicate, f"one of {', '.join(values)}")


def _judge_rows(rule: RowRule, failing: int, rows: int) -> RuleResult:
    return RuleResult(
        rule=rule.name,
        passed=failing <= rule.allowed_fraction * rows,
        observed=f"{failing} of {rows} rows {'are null' if rule.allowed_fraction else 'break it'}",
        expected=rule.expected,
        failing_rows=failing,
    )


def _rows(bounds: Bounds, rows: int) -> RuleResult:
    return RuleResult(
        rule="rows", passed=_inside(rows, bounds), observed=f"{rows} rows", expected=_interval(bounds)
    )


def _unique(columns: tuple[str, ...], rows: int, distinct: int, known: int) -> list[RuleResult]:
    names = ", ".join(columns)
    return [
        RuleResult(
            rule=f"unique({names})",
            passed=distinct == rows,
            observed=f"{rows - distinct} of {rows} rows repeat another's",
            expected="no two rows alike",
            failing_rows=rows - distinct,
        ),
        RuleResult(
            rule=f"new({names})",
            passed=known == 0,
            observed=f"{known} of {rows} rows are in the table already",
            expected="none in the table yet",
            failing_rows=known,
        ),
    ]


def _labels(use_case: UseCase, found: Mapping[str, Any]) -> list[RuleResult]:
    column, rate_bounds = use_case.label.column, use_case.expectations.label_rate
    positives, labels = int(found["positives"]), int(found["labels"])
    results = []
    if use_case.label.positive is not None:
        results.append(_two_classes(column, found["first_negative"], found["last_negative"]))
    results.append(_both_classes(column, positives, labels - positives, rate_bounds))
    if rate_bounds is not None:
        rate = positives / labels if labels else 0.0
        results.append(
            RuleResult(
                rule=f"label_rate({column})",
                passed=labels > 0 and _inside(rate, rate_bounds),
                observed=f"{rate:.4g} of {labels} labels",
                expected=_interval(rate_bounds),
            )
        )
    return results


def _two_classes(column: str, first: str | None, last: str | None) -> RuleResult:
    return RuleResult(
        rule=f"label_negatives({column})",
        passed=first == last,
        observed=f"{first!r} and {last!r}" if first != last else f"{first!r}",
        expected="one value besides label.positive",
    )


def _both_classes(column: str, positives: int, negatives: int, rate: Bounds | None) -> RuleResult:
    """A batch of one class is refused, unless a declared label_rate says that 0 (or 1) is a fine share."""
    no_positive_is_fine = rate is not None and rate.min == 0
    no_negative_is_fine = rate is not None and rate.max == 1
    fine = (positives > 0 or no_positive_is_fine) and (negatives > 0 or no_negative_is_fine)
    return RuleResult(
        rule=f"label_classes({column})",
        passed=fine,
        observed=f"{positives} positive and {negatives} negative labels",
        expected="both classes",
    )


def _inside(value: float, bounds: Bounds) -> bool:
    return (bounds.min is None or value >= bounds.min) and (bounds.max is None or value <= bounds.max)


def _interval(bounds: Bounds) -> str:
    low = "-inf" if bounds.min is None else f"{bounds.min:g}"
    high = "inf" if bounds.max is None else f"{bounds.max:g}"
    return f"in [{low}, {high}]"
