"""`lakeloop init` on data that nobody declared: the draft validates, and says what it guessed."""

import csv
import math
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from lakeloop.adapters.duckdb.inspector import DuckdbInspector
from lakeloop.domain.errors import UserError
from lakeloop.domain.use_case import UseCase
from lakeloop.drafting import Wishes, choose, use_case_text
from lakeloop.use_case_files import load_use_case

START = datetime(2024, 3, 1)  # noqa: DTZ001 - as a CSV has it


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
    return str(path)


def trips(folder: Path, count: int = 400) -> str:
    rows = [
        [f"T{i:05d}", START + timedelta(minutes=i), ["Oslo", "NO"][i % 2], i / 10, "" if i % 9 else i,
         f"memo {i}", "yes" if i % 5 == 0 else "no"]
        for i in range(count)
    ]  # fmt: skip
    return write_csv(folder / "trips.csv", ["Trip ID", "at", "city", "fare", "tip", "memo", "late"], rows)


def drafted(path: str, folder: Path, wishes: Wishes | None = None) -> tuple[UseCase, str]:
    facts = DuckdbInspector().files(path)
    text = use_case_text("trips", "shop.trips", Path(path).name, facts, choose(facts, wishes or Wishes()))
    file = folder / "trips.yaml"
    file.write_text(text, encoding="utf-8")
    return load_use_case(str(file)), text


def test_a_draft_validates_and_finds_what_a_person_would_find(tmp_path: Path) -> None:
    use_case, text = drafted(trips(tmp_path), tmp_path)
    assert use_case.table.key == ("Trip ID",)
    assert use_case.table.event_time == "at"
    assert (use_case.label.column, use_case.label.positive) == ("late", "yes")
    assert {f.name: f.type for f in use_case.features} == {"city": "categorical", "fare": None, "tip": None}
    assert "left out: memo (400 different texts)" in text
    assert use_case.gate.floor == 0.5, "a first model that knows nothing does not go live"
    assert len(text.splitlines()) <= 40


def test_expectations_leave_room_around_what_was_seen(tmp_path: Path) -> None:
    use_case, _ = drafted(trips(tmp_path), tmp_path)
    fare = use_case.expectations.ranges["fare"]
    assert fare.min == 0
    assert fare.max is not None
    assert 39.9 < fare.max < 100
    rate = use_case.expectations.label_rate
    assert rate is not None
    assert rate.min is not None
    assert rate.max is not None
    assert rate.min < 0.2 < rate.max
    assert use_case.expectations.max_null_fraction["tip"] > 0.88


def test_yes_and_no_stay_texts_and_true_and_false_are_booleans(tmp_path: Path) -> None:
    rows = [[i, START + timedelta(hours=i), str(i % 2 == 0).lower(), i % 3 == 0] for i in range(50)]
    path = write_csv(tmp_path / "a.csv", ["id", "at", "rain", "late"], rows)
    facts = DuckdbInspector().files(path)
    assert [c.type for c in facts.columns] == ["long", "timestamp", "boolean", "boolean"]


@pytest.mark.parametrize(
    ("written", "kind", "time_format"),
    [
        ("%d/%m/%Y %H:%M", "timestamp", "%d/%m/%Y %H:%M"),
        ("%m/%d/%Y %I:%M:%S %p", "timestamp", "%m/%d/%Y %I:%M:%S %p"),
        ("%d.%m.%Y", "date", "%d.%m.%Y"),
        ("%d %b %Y", "date", "%d %b %Y"),
        ("%s", "timestamp", "epoch_seconds"),
        ("%Y-%m-%dT%H:%M:%S+02:00", "timestamp", None),
        ("%Y-%m-%d %H:%M", "timestamp", None),
        ("%Y-%m-%d", "date", None),
    ],
)
def test_moments_are_found_however_they_are_written(
    tmp_path: Path, written: str, kind: str, time_format: str | None
) -> None:
    moments = [START + timedelta(days=i, minutes=7 * i) for i in range(60)]
    rows = [[i, moment.strftime(written), i % 7, i % 2] for i, moment in enumerate(moments)]
    use_case, _ = drafted(write_csv(tmp_path / "t.csv", ["id", "at", "x", "label"], rows), tmp_path)
    assert (use_case.table.event_time, use_case.table.columns["at"]) == ("at", kind)
    assert use_case.time_format("at") == time_format


def test_odd_names_become_plain_and_stay_different(tmp_path: Path) -> None:
    header = [
        "id",
        "at",
        "label",
        "City / \u00c1rea",
        "city area",
        "City-Area",
        "9 lives",
        "\u6771\u4eac",
        "a_b",
    ]
    rows = [[i, START + timedelta(hours=i), i % 2, *(i * j for j in range(1, 7))] for i in range(60)]
    use_case, _ = drafted(write_csv(tmp_path / "t.csv", header, rows), tmp_path)
    names = [f.name for f in use_case.features]
    assert names == ["City_Area", "city_area_2", "City_Area_3", "_9_lives", "column", "a_b"]
    assert [f.column or f.name for f in use_case.features] == header[3:]


def test_forty_lines_are_enough_for_a_wide_table(tmp_path: Path) -> None:
    header = ["id", "at", "label", *(f"a_rather_long_column_name_{i}" for i in range(60))]
    rows = [[i, START + timedelta(hours=i), i % 2, *(i * j for j in range(1, 61))] for i in range(40)]
    use_case, text = drafted(write_csv(tmp_path / "w.csv", header, rows), tmp_path)
    assert len(use_case.features) == 60
    assert len(text.splitlines()) <= 40


def test_a_pair_is_the_key_where_no_column_is(tmp_path: Path) -> None:
    rows = [[i % 10, START + timedelta(hours=i // 10), i, i % 2] for i in range(100)]
    use_case, _ = drafted(write_csv(tmp_path / "d.csv", ["device", "at", "x", "label"], rows * 1), tmp_path)
    assert use_case.table.key in {("device", "at"), ("at", "device"), ("x",)}


@pytest.mark.parametrize(
    ("header", "row", "wishes", "expected"),
    [
        (["id", "x", "label"], lambda i: [i, i, i % 2], Wishes(), "no column says when a row happened"),
        (
            ["id", "at", "x", "label"],
            lambda i: [i, f"{i % 12 + 1:02d}/{i % 11 + 1:02d}/2024", i, i % 2],
            Wishes(),
            "%d/%m/%Y or %m/%d/%Y: say which",
        ),
        (["id", "at", "x"], lambda i: [i, START + timedelta(hours=i), i], Wishes(), "give --label"),
        (["id", "at", "x"], lambda i: [i, START + timedelta(hours=i), i], Wishes(label="x"), "has two"),
        (["id", "at", "x"], lambda i: [i, START + timedelta(hours=i), i], Wishes(label="z"), "no column 'z'"),
        (["at", "x", "label"], lambda i: [START, i % 3, i % 2], Wishes(), "give --key"),
    ],
)
def test_what_cannot_be_guessed_is_asked_for(
    tmp_path: Path, header: list[str], row: Callable[[int], list[object]], wishes: Wishes, expected: str
) -> None:
    path = write_csv(tmp_path / "a.csv", header, (row(i) for i in range(60)))
    with pytest.raises(UserError) as caught:
        choose(DuckdbInspector().files(path), wishes)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [("a.csv", b"id,at\n", "no rows"), ("a.parquet", b"no", "cannot be read"), ("a.xls", b"", "by its name")],
)
def test_a_bad_file_is_one_clear_error(tmp_path: Path, name: str, content: bytes, expected: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=expected):
        DuckdbInspector().files(str(tmp_path / name))


def test_a_glob_that_matches_nothing_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no file matches"):
        DuckdbInspector().files(str(tmp_path / "*.csv"))


def test_names_that_differ_by_case_only_would_be_one_in_sql(tmp_path: Path) -> None:
    header = ["id", "at", "label", "City Area", "city-area"]
    rows = [[i, START + timedelta(hours=i), i % 2, i * 3, i * 5] for i in range(60)]
    use_case, _ = drafted(write_csv(tmp_path / "t.csv", header, rows), tmp_path)
    assert [f.name for f in use_case.features] == ["City_Area", "city_area_2"]


@pytest.mark.parametrize(
    ("header", "named"),
    [
        (["id", "at", "x", "x", "label"], "'x' and 'x' have one name"),
        (["id", "at", "x", "X", "label"], "'x' and 'X' have one name"),
        (["", "at", "x", "z", "label"], "column 1 has none"),
        (["7", "2024-03-01", "1", "2", "0"], "the first line must name the columns"),
    ],
)
def test_a_header_that_no_run_could_read_is_refused(tmp_path: Path, header: list[str], named: str) -> None:
    rows = [[i, START + timedelta(hours=i), i * 3, i * 5, i % 2] for i in range(60)]
    with pytest.raises(UserError, match=named):
        DuckdbInspector().files(write_csv(tmp_path / "t.csv", header, rows))


def test_what_pandas_writes_can_be_drafted(tmp_path: Path) -> None:
    """NaN for unknown, infinite values, nanoseconds with a zone, categories."""
    moments = [START + timedelta(hours=i) for i in range(60)]
    table = pa.table(
        {
            "id": list(range(60)),
            "at": pa.array(moments, pa.timestamp("ns", "Europe/Berlin")),
            "x": [math.nan if i % 3 == 0 else i / 7 for i in range(60)],
            "y": pa.array([math.inf if i == 5 else i for i in range(60)], pa.float32()),
            "z": [float(i) for i in range(60)],
            "kind": pa.array(["a", "b"] * 30).dictionary_encode(),
            "big": pa.array([2**63 + i for i in range(60)], pa.uint64()),
            "hour": pa.array([m.time() for m in moments], pa.time64("us")),
            "label": [i % 4 == 0 for i in range(60)],
        }
    )
    path = tmp_path / "frame.parquet"
    parquet.write_table(table, path)
    use_case, _ = drafted(str(path), tmp_path)
    assert use_case.table.event_time == "at"
    assert [f.name for f in use_case.features] == ["x", "y", "z", "kind"]
    assert use_case.expectations.extra_columns == "drop", "no batch may have whole numbers above a long's"
    assert list(use_case.expectations.ranges) == ["z"], "no range has room for NaN or infinity"


@pytest.mark.parametrize(
    ("name", "content", "named"),
    [
        (
            "t.csv",
            "id,at,city,label\n1,2024-01-01,K\u00f6ln,0\n2,2024-01-02,Rom,1\n".encode("latin-1"),
            "not UTF-8",
        ),
        (
            "t.json",
            b'[{"id": 1, "at": "2024-01-01", "label": 0}, {"id": 2, "at": "2024-01-02", "label": 1}]',
            "array",
        ),
        ("t.csv", b"id,at,x,label\n1,2024-01-01,3,0\n2,2024-01-02,4,1,9,9\n3,2024-01-02,4,1\n", "fields"),
    ],
)
def test_what_cannot_be_read_is_said_in_one_line(
    tmp_path: Path, name: str, content: bytes, named: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserError, match=named) as caught:
        DuckdbInspector().files(str(path))
    assert "\n" not in str(caught.value)


def test_a_folder_is_said_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="this is a folder"):
        DuckdbInspector().files(str(tmp_path))
