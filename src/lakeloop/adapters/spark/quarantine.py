"""The rows of a refused batch, each with the rules that it breaks, written by Spark."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakeloop.adapters.files.quarantine import BROKEN_RULES_COLUMN, quarantine_uri, write_rules
from lakeloop.adapters.spark.batch_files import spark_path
from lakeloop.domain.batch import Batch, RuleResult
from lakeloop.domain.expectations import row_rules
from lakeloop.domain.labels import quoted, text_literal
from lakeloop.domain.use_case import UseCase
from lakeloop.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def keep_refused(
    rows: DataFrame, settings: Settings, use_case: UseCase, batch: Batch, rules: tuple[RuleResult, ...]
) -> str:
    """Write `rows/` (Parquet, with `_broken_rules`) and `rules.json`; again replaces them.

    Returns:
        URI of the folder.
    """
    uri = quarantine_uri(settings, use_case, batch)
    listed = rows.selectExpr("*", f"{_broken_rules(use_case)} AS {BROKEN_RULES_COLUMN}")
    listed.write.mode("overwrite").parquet(spark_path(f"{uri}/rows"))
    write_rules(uri, use_case, batch, rules)
    return uri


def _broken_rules(use_case: UseCase) -> str:
    tests = [f"CASE WHEN {rule.broken} THEN {text_literal(rule.name)} END" for rule in row_rules(use_case)]
    if unique := use_case.expectations.unique:
        columns = ", ".join(map(quoted, unique))
        name = text_literal(f"unique({', '.join(unique)})")
        tests.append(f"CASE WHEN count(1) OVER (PARTITION BY {columns}) > 1 THEN {name} END")
    return f"filter(array({', '.join(tests)}), rule -> rule IS NOT NULL)"
