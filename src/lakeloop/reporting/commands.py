"""Command lines that a reader can copy."""

from __future__ import annotations

import json
import shlex
from typing import Any

from lakeloop.domain.rollout import Rollout
from lakeloop.domain.use_case import UseCase
from lakeloop.reporting.documents import RunDocuments


def pretty(value: Any) -> str:
    """Indented JSON; nothing for an empty value."""
    return json.dumps(value, indent=2, ensure_ascii=False) if value else ""


def curl(rollout: Rollout) -> str:
    """The sample request as one shell command; nothing where there is none."""
    if not rollout.sample_request or not rollout.url:
        return ""
    url = f"{rollout.url.rstrip('/').removesuffix('/predict')}/predict"
    body = json.dumps(rollout.sample_request, ensure_ascii=False)
    return f"curl -s {shlex.quote(url)} -H 'content-type: application/json' \\\n  -d {shlex.quote(body)}"


def next_commands(
    use_case: UseCase, pipeline_run_id: str, documents: RunDocuments, catalog_name: str
) -> list[tuple[str, str]]:
    """Pairs of (what for, command)."""
    name = use_case.name
    lines = [
        ("What is live, and which snapshots it has seen", f"lakeloop status {name}"),
        ("What the next training would read", f"lakeloop plan {name}"),
        ("Every decision so far", f"lakeloop history {name}"),
        ("The logs of this run", f"lakeloop logs {shlex.quote(pipeline_run_id)}"),
        ("Land the next batch and train again", f"lakeloop run {name}"),
    ]
    return lines + _queries(documents, catalog_name)


def _queries(documents: RunDocuments, catalog_name: str) -> list[tuple[str, str]]:
    made = documents.training_set
    if made is None:
        return []
    ranges = ", ".join(f"'{range_id}'" for range_id in made.range_ids)
    features = _at(catalog_name, made.feature_table, made.feature_snapshot_id)
    source = _at(catalog_name, made.range.table, made.range.to_snapshot_id)
    return [
        (
            "The feature rows that this training and its holdout were drawn from (Spark SQL)",
            f"{features}\nWHERE _range_id IN ({ranges})",
        ),
        ("The source table as it was then (Spark SQL)", source),
    ]


def _at(catalog_name: str, table: str, snapshot_id: str) -> str:
    return f"SELECT * FROM {catalog_name}.{table} VERSION AS OF {snapshot_id}"  # noqa: S608 - text to read, not run
