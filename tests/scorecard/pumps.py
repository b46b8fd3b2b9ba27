"""The data of every scenario: readings of pumps, and which of them failed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from lakeloop.domain.use_case import UseCase

FEATURES = ("load", "heat", "age")
COLUMNS = {
    "id": "long",
    "at": "timestamp",
    "load": "double",
    "heat": "double",
    "age": "double",
    "site": "string",
    "failed": "int",
}
SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("at", pa.timestamp("us", tz="UTC")),
        *((name, pa.float64()) for name in FEATURES),
        ("site", pa.string()),
        ("failed", pa.int32()),
    ]
)
MINUTE_US = 60_000_000
START_US = 1_735_689_600_000_000  # 2025-01-01

Values = np.ndarray[tuple[int], np.dtype[Any]]
Logits = Callable[[dict[str, Values]], Values]


def usual(columns: dict[str, Values]) -> Values:
    """Log-odds of a failure: load drives it, heat helps; about a third of the readings fail."""
    return 8 * (columns["load"] - 0.6) + 2 * (columns["heat"] - 0.5)


def readings(first: int, count: int, logits: Logits = usual) -> pa.Table:
    """Rows `first` to `first + count`, a minute apart; the same numbers give the same rows."""
    rng = np.random.default_rng(first * 1_000_003 + count)
    columns = {name: rng.random(count) for name in FEATURES}
    columns["site"] = rng.choice(np.array(["a", "b", "c"], dtype=object), count)
    columns["place"] = np.arange(count) / count
    failed = rng.random(count) < 1 / (1 + np.exp(-logits(columns)))
    ids = np.arange(first, first + count)
    return pa.table(
        {
            "id": ids,
            "at": START_US + ids * MINUTE_US,
            **{name: columns[name] for name in FEATURES},
            "site": pa.array(columns["site"].tolist()),
            "failed": failed.astype(np.int32),
        }
    ).cast(SCHEMA)


def use_case(name: str, **changes: Any) -> UseCase:
    """A use case over table `NAME.pumps`; `changes` replace whole keys."""
    document: dict[str, Any] = {
        "name": name,
        "table": {"name": f"{name}.pumps", "key": ["id"], "event_time": "at", "columns": COLUMNS},
        "source": {"kind": "table"},
        "label": {"column": "failed"},
        "features": [*FEATURES, {"name": "strain", "expression": "load / (heat + 0.1)"}],
        "train": {"rounds": 20, "early_stopping_rounds": None, "params": {"max_depth": 3}, "threads": 1},
        "gate": {"min_rows": 50, "bootstrap_samples": 200, "max_loss": 0.2},
        "deployment": {"prove_rows": 20},
    }
    return UseCase.model_validate_json(json.dumps(document | changes))
