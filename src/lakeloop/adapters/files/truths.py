"""What came true, from a file: prediction id and outcome a row."""

from __future__ import annotations

from pathlib import Path

from lakeloop.domain.errors import UserError

_FORMATS = {".csv": "csv", ".parquet": "parquet", ".json": "json", ".jsonl": "json"}
_WORDS = {"1": True, "1.0": True, "true": True, "0": False, "0.0": False, "false": False}


def read_truths(path: Path, id_column: str, truth_column: str) -> dict[str, bool]:
    """Outcomes by prediction id; rows whose outcome is empty are left out.

    Args:
        path: CSV with a header, Parquet, or JSON lines, by its name's end.
        id_column: prediction ids.
        truth_column: 0 and 1, or false and true.

    Raises:
        UserError: no such file or column, another outcome, or two outcomes of one prediction.
    """
    import pyarrow as pa
    from pyarrow import dataset

    kind = _FORMATS.get(path.suffix.lower())
    if kind is None:
        raise UserError(
            "not a CSV, Parquet or JSON lines file", where=str(path), fix="name it .csv, .parquet, .jsonl"
        )
    try:
        rows = dataset.dataset(path, format=kind).to_table()
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"cannot be read: {str(error).splitlines()[0]}", where=str(path)) from error
    for column in (id_column, truth_column):
        if column not in rows.schema.names:
            raise UserError(
                f"no column {column!r}; there are {', '.join(rows.schema.names)}",
                where=str(path),
                fix="name the columns with --id-column and --truth-column",
            )
    found: dict[str, bool] = {}
    pairs = zip(rows.column(id_column).to_pylist(), rows.column(truth_column).to_pylist(), strict=True)
    for number, (id_, said) in enumerate(pairs, 1):
        if said is None or said == "":
            continue
        truth = _WORDS.get(str(said).strip().lower())
        if truth is None:
            raise UserError(f"row {number}: {said!r} is no outcome", where=str(path), fix="write 0 or 1")
        if found.setdefault(str(id_), truth) != truth:
            raise UserError(f"row {number}: {id_} has two outcomes", where=str(path), fix="keep one")
    return found
