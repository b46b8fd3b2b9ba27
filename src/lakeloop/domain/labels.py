"""The label as a number: SQL that Spark and DuckDB read alike."""

from __future__ import annotations

from lakeloop.domain.dialects import SPARK, Dialect
from lakeloop.domain.errors import UserError
from lakeloop.domain.use_case import Label


def label_sql(label: Label, column_type: str, dialect: Dialect = SPARK) -> str:
    """A DOUBLE expression: 1 for the positive class, 0 for the other, NULL for no label.

    Without `positive`, a value that is neither 0/1 nor a boolean is NULL as well: `unknown_label_sql` finds it.

    Args:
        label: its column and, where declared, the value of the positive class.
        column_type: the column's type, e.g. `int`, `string`, `boolean`.
        dialect: of the engine that reads it.

    Raises:
        UserError: a text column without `label.positive`, or a `positive` that cannot be a value of the column.
    """
    column = dialect.quoted(label.column)
    if label.positive is not None:
        positive = _is_positive(label, column_type, dialect)
        return f"CASE WHEN {column} IS NULL THEN NULL WHEN {positive} THEN 1e0 ELSE 0e0 END"
    if column_type == "string":
        raise UserError(
            f"{label.column!r} is text: which value is the positive class?",
            where="label.positive",
            fix="add label.positive: VALUE",
        )
    if column_type == "boolean":
        return f"CASE WHEN {column} THEN 1e0 WHEN NOT {column} THEN 0e0 END"
    return f"CASE WHEN {column} = 1 THEN 1e0 WHEN {column} = 0 THEN 0e0 END"


def negative_sql(label: Label, column_type: str, dialect: Dialect = SPARK) -> str:
    """The label's value as text where it is the negative class, else NULL: there must be one such value only."""
    text = f"CAST({dialect.quoted(label.column)} AS STRING)"
    return f"CASE WHEN ({label_sql(label, column_type, dialect)}) = 0e0 THEN {text} END"


def unknown_label_sql(label: Label, column_type: str, dialect: Dialect = SPARK) -> str:
    """True where there is a label that belongs to neither class."""
    known = label_sql(label, column_type, dialect)
    return f"({dialect.quoted(label.column)} IS NOT NULL AND ({known}) IS NULL)"


def quoted(name: str) -> str:
    """A column's name as Spark SQL."""
    return SPARK.quoted(name)


def text_literal(value: str) -> str:
    """A SQL string literal (Spark unescapes backslashes, hence the doubling)."""
    return SPARK.text(value)


def _is_positive(label: Label, column_type: str, dialect: Dialect) -> str:
    column, positive = dialect.quoted(label.column), label.positive
    if column_type == "string":
        return f"{column} = {dialect.text(_as_text(positive))}"
    if column_type == "boolean":
        truth = _as_text(positive).lower()
        if truth in {"true", "false", "1", "0"}:
            return f"{column} = {str(truth in {'true', '1'}).lower()}"
    else:
        try:
            return f"CAST({column} AS DOUBLE) = {float(positive or 0)!r}"
        except ValueError:
            pass
    raise UserError(
        f"{positive!r} is no value of a column of type {column_type}",
        where="label.positive",
        fix=f"give a value of {label.column!r}",
    )


def _as_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
