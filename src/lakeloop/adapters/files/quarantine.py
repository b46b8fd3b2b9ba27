"""Where a refused batch is kept: its rows, each with the rules that it breaks, and what every rule found."""

from __future__ import annotations

import json

from pyarrow import fs

from lakeloop.domain.batch import Batch, RuleResult
from lakeloop.domain.use_case import UseCase
from lakeloop.settings import Settings

BROKEN_RULES_COLUMN = "_broken_rules"


def quarantine_uri(settings: Settings, use_case: UseCase, batch: Batch) -> str:
    """Folder of a refused batch: `rows/` in Parquet with `_broken_rules`, and `rules.json`."""
    return f"{settings.staging.rstrip('/')}/quarantine/{use_case.name}/{batch.batch_id}"


def write_rules(uri: str, use_case: UseCase, batch: Batch, rules: tuple[RuleResult, ...]) -> None:
    """Write `rules.json`: what every rule found."""
    document = {
        "use_case": use_case.name,
        "batch": batch.model_dump(mode="json"),
        "rules": [rule.model_dump(mode="json") for rule in rules],
    }
    filesystem, path = fs.FileSystem.from_uri(uri)
    filesystem.create_dir(path, recursive=True)
    with filesystem.open_output_stream(f"{path}/rules.json") as stream:
        stream.write(json.dumps(document, indent=2, ensure_ascii=False).encode())
