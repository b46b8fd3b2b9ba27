"""The Iceberg tables of a model's predictions: what was predicted, what came true, what spans of time say."""

from __future__ import annotations

from typing import Any

NAMESPACE = "predictions"
PIECE_COLUMN = "_piece_id"


def table_name(model_name: str) -> str:
    """The table of a model's predictions."""
    return f"{NAMESPACE}.{model_name}"


def truths_table(model_name: str) -> str:
    """The table of what came true, by prediction id; told again, the last word counts."""
    return f"{NAMESPACE}.{model_name}_truths"


def windows_table(model_name: str) -> str:
    """The table of metrics of spans of time; a span that got more truths is told again."""
    return f"{NAMESPACE}.{model_name}_windows"


def schema() -> Any:
    """Of the predictions (Arrow).

    `inputs` is JSON: columns come and go with versions. `purpose` is null for callers' predictions.
    """
    import pyarrow as pa

    text = pa.string()
    return pa.schema(
        [
            ("prediction_id", text),
            ("predicted_at", pa.timestamp("us", "UTC")),
            ("model_name", text),
            ("model_version", text),
            ("model_digest", text),
            ("snapshot_id", text),
            ("score", pa.float64()),
            ("decision", pa.bool_()),
            ("inputs", text),
            ("purpose", text),
            (PIECE_COLUMN, text),
        ]
    )


def truths_schema() -> Any:
    """Of what came true (Arrow); a piece is one word about one prediction."""
    import pyarrow as pa

    return pa.schema(
        [
            ("prediction_id", pa.string()),
            ("truth", pa.bool_()),
            ("told_at", pa.timestamp("us", "UTC")),
            ("telling", pa.int32()),
            (PIECE_COLUMN, pa.string()),
        ]
    )


def windows_schema() -> Any:
    """Of the windows (Arrow); `metrics` is JSON."""
    import pyarrow as pa

    instant = pa.timestamp("us", "UTC")
    return pa.schema(
        [
            ("window_start", instant),
            ("window_end", instant),
            ("metrics", pa.string()),
            ("told_at", instant),
            (PIECE_COLUMN, pa.string()),
        ]
    )
