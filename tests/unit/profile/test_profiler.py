"""A batch's profile: every number checked against the rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.profile_batch.core import without_files
from lakeloop.adapters.duckdb.profiler import DuckdbBatchProfiler
from lakeloop.adapters.files.generator import FileBatchGenerator
from lakeloop.domain.batch import Batch, BatchOptions, Plants
from lakeloop.domain.errors import UserError
from lakeloop.domain.profile import ColumnProfile, Profile
from lakeloop.domain.use_case import UseCase
from lakeloop.settings import Settings
from lakeloop.use_case_files.loading import load_use_case

COLUMNS = {
    "id": "long",
    "at": "timestamp",
    "shop's": "string",
    "amount": "double",
    "ok": "boolean",
    "y": "string",
}


def use_case(kind: str, path: Path) -> UseCase:
    return UseCase.model_validate(
        {
            "name": "a",
            "table": {"name": "a.b", "key": ["id"], "event_time": "at", "columns": COLUMNS},
            "source": {"kind": "files", "path": str(path), "format": kind, "csv_delimiter": ";"},
            "label": {"column": "y", "positive": "it's"},
            "features": ["amount"],
        }
    )


def profile(kind: str, path: Path) -> Profile:
    batch = Batch(kind="files", batch_id="b", files=(path.as_uri(),), format=kind)  # type: ignore[arg-type]
    return DuckdbBatchProfiler().profile(use_case(kind, path), batch)


def by_name(found: Profile) -> dict[str, ColumnProfile]:
    return {c.name: c for c in found.columns}


@pytest.fixture
def rows() -> list[dict[str, Any]]:
    return [
        {
            "id": 2**60 + i,
            "at": f"2025-01-01T00:{i // 60:02d}:{i % 60:02d}",
            "shop's": "big" if i % 4 else "small",
            "amount": None if i % 10 == 0 else i * 0.5,
            "ok": i % 2 == 0,
            "y": "it's" if i % 5 == 0 else "not",
        }
        for i in range(1000)
    ]


def expect(found: Profile) -> None:
    columns = by_name(found)
    assert (found.rows, found.labelled_rows, found.label_rate, found.note) == (1000, 1000, 0.2, "")
    assert (columns["id"].min, columns["id"].max) == (str(2**60), str(2**60 + 999))
    assert columns["at"].max == "2025-01-01 00:16:39"
    assert [(t.value, t.rows) for t in columns["shop's"].top] == [("big", 750), ("small", 250)]
    assert [(t.value, t.rows) for t in columns["ok"].top] == [("false", 500), ("true", 500)]
    amount = columns["amount"]
    assert (amount.nulls, amount.invalid, amount.min, amount.max) == (100, 0, "0.5", "499.5")
    assert amount.mean == pytest.approx(250)
    assert amount.quantiles["p50"] == pytest.approx(250, abs=5)
    assert len(amount.histogram) == 30
    assert sum(b.rows for b in amount.histogram) == 900
    assert all(b.low <= b.high for b in amount.histogram)
    assert 850 < amount.distinct <= 900
    assert all(c.invalid == 0 for c in found.columns)


def test_parquet(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    table = pa.Table.from_pylist(rows)
    moments = table["at"].cast(pa.timestamp("us")).cast(pa.timestamp("us", tz="UTC"))
    file = tmp_path / "t b.parquet"
    pq.write_table(table.set_column(1, "at", moments), file)
    expect(profile("parquet", file))


def test_csv_is_read_by_the_declared_types_and_says_what_does_not_fit(
    rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    def text(value: Any) -> str:
        return "NA" if value is None else str(value)

    file = tmp_path / "t.csv"
    lines = [";".join(COLUMNS), *(";".join(text(r[c]) for c in COLUMNS) for r in rows)]
    file.write_text("\n".join(lines))
    expect(profile("csv", file))
    lines[1:4] = ["1.5;yesterday;x;inf;maybe;not", "x;2025-01-01;x;NaN;true;", "3;2025-01-01;;1e3;true;"]
    file.write_text("\n".join(lines))
    found = by_name(profile("csv", file))
    assert {name: c.invalid for name, c in found.items()} == {
        "id": 2, "at": 1, "shop's": 0, "amount": 2, "ok": 1, "y": 0,
    }  # fmt: skip
    assert found["y"].nulls == 2


def test_line_breaks_in_quotes_and_instants_in_nanoseconds(
    rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    """Of a file of more than one block of Arrow's."""
    file = tmp_path / "t.csv"
    text = "line\n" * 40
    lines = [f'{i};2025-01-01T00:00:00;"{text}";1.5;true;not' for i in range(12_000)]
    file.write_text("\n".join([";".join(COLUMNS), *lines]))
    assert file.stat().st_size > 2**21
    assert by_name(profile("csv", file))["amount"].mean == 1.5
    table = pa.Table.from_pylist(rows)
    moments = table["at"].cast(pa.timestamp("ns")).cast(pa.timestamp("ns", tz="Europe/Berlin"))
    file = tmp_path / "t.parquet"
    pq.write_table(table.set_column(1, "at", moments), file)
    expect(profile("parquet", file))


def test_json_lines(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    import json

    file = tmp_path / "t.json"
    file.write_text("\n".join(json.dumps(r) for r in rows))
    expect(profile("json", file))


@pytest.mark.parametrize(
    "values", [[], [None, None], [7.0, 7.0], [float("nan"), float("inf")], [1e308, -1e308]]
)
def test_odd_columns_have_a_profile(values: list[float | None], tmp_path: Path) -> None:
    file = tmp_path / "t.parquet"
    pq.write_table(pa.table({"amount": pa.array(values, pa.float64())}), file)
    found = profile("parquet", file)
    (amount,) = found.columns
    assert found.rows == len(values)
    assert amount.nulls + amount.invalid + sum(b.rows for b in amount.histogram) in {len(values), 0}
    assert "not in the files: id, at" in found.note
    assert Profile.model_validate_json(found.model_dump_json()) == found


def test_a_planted_fault_shows(tmp_path: Path) -> None:
    towers = load_use_case(str(Path(__file__).parents[3] / "conf" / "use_cases" / "cell_towers.yaml"))
    plants = Plants(nulls={"iot_signal_2": 0.25}, out_of_range={"event_type": 0.1})
    batch = FileBatchGenerator(Settings(home=tmp_path)).generate(towers, 1, BatchOptions(plants=plants))
    columns = by_name(DuckdbBatchProfiler().profile(towers, batch))
    assert columns["iot_signal_2"].nulls == 360
    assert {t.value: t.rows for t in columns["event_type"].top}["__not_allowed__"] == 144


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "broken.parquet"
    file.write_bytes(b"PAR1 no")
    with pytest.raises(UserError, match=r"broken\.parquet"):
        profile("parquet", file)


def test_a_batch_without_files_says_so() -> None:
    batch = Batch(kind="table", batch_id=None, note="a.b is written elsewhere")
    assert without_files(batch) == Profile(batch_id=None, note="a.b is written elsewhere")
