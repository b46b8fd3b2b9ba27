"""Files of a source, found and looked into."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakeloop.adapters.files.sources import ArrowSourceFolder
from lakeloop.domain.errors import UserError
from lakeloop.domain.use_case import FilesSource
from lakeloop.settings import Settings

FOLDER = ArrowSourceFolder(Settings())


@pytest.fixture
def files(tmp_path: Path) -> Path:
    root = tmp_path / "in [1] ñ"
    for name in (
        "b.csv",
        "a.csv",
        "a-1.csv",
        "c.txt",
        ".hidden.csv",
        "_tmp.csv",
        "deep/er/d.csv",
        "deep/e.csv",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x,y\n1,2\n")
    return root


def names(root: Path, pattern: str) -> list[str]:
    plain = str(root).replace("[", "[[]", 1)
    return [f.uri.split("%C3%B1/")[1] for f in FOLDER.find(f"{plain}/{pattern}")]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.csv", ["a-1.csv", "a.csv", "b.csv"]),
        ("?.csv", ["a.csv", "b.csv"]),
        ("[!a].*", ["b.csv", "c.txt"]),
        ("**/*.csv", ["a-1.csv", "a.csv", "b.csv", "deep/e.csv", "deep/er/d.csv"]),
        ("deep/*/*.csv", ["deep/er/d.csv"]),
        ("a.csv", ["a.csv"]),
    ],
)
def test_globs(files: Path, pattern: str, expected: list[str]) -> None:
    assert names(files, pattern) == expected


def test_a_file_uri_and_a_relative_path_name_the_same(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(files)
    assert [f.name for f in FOLDER.find("deep/*.csv")] == ["e.csv"]


@pytest.mark.parametrize("pattern", ["*.parquet", "nowhere/*.csv", "missing.csv", "deep"])
def test_a_glob_that_matches_nothing_is_an_error_that_names_it(files: Path, pattern: str) -> None:
    with pytest.raises(UserError, match="no file matches") as raised:
        names(files, pattern)
    assert pattern in str(raised.value)
    assert raised.value.exit_code == 2


def test_a_file_is_known_by_its_bytes(files: Path) -> None:
    (file,) = FOLDER.find(str(files).replace("[", "[[]", 1) + "/a.csv")
    assert FOLDER.sha256(file) == hashlib.sha256(b"x,y\n1,2\n").hexdigest()
    assert file.size == 8


def test_columns_by_format(tmp_path: Path) -> None:
    (tmp_path / "semi.csv").write_text("x;y\n1;2\n")
    (tmp_path / "zip.csv.gz").write_bytes(gzip.compress(b"x;y\n1;2\n"))
    (tmp_path / "lines.json").write_text('{"x": 1, "y": null}\n')
    pq.write_table(pa.table({"x": [1], "y": [2]}), tmp_path / "t.parquet")
    for name, kind in (
        ("semi.csv", "csv"),
        ("zip.csv.gz", "csv"),
        ("lines.json", "json"),
        ("t.parquet", "parquet"),
    ):
        source = FilesSource.model_validate(
            {"kind": "files", "path": str(tmp_path / name), "format": kind, "csv_delimiter": ";"}
        )
        (file,) = FOLDER.find(source.path)
        assert FOLDER.columns(file, source) == ("x", "y")


@pytest.mark.parametrize(
    ("content", "kind"), [(b"", "csv"), (b"PAR1 no", "parquet"), (b"{not json", "json"), (b"", "parquet")]
)
def test_an_unreadable_file_is_named(tmp_path: Path, content: bytes, kind: str) -> None:
    (tmp_path / "broken").write_bytes(content)
    source = FilesSource.model_validate({"kind": "files", "path": str(tmp_path / "broken"), "format": kind})
    (file,) = FOLDER.find(source.path)
    with pytest.raises(UserError, match="cannot be read") as raised:
        FOLDER.columns(file, source)
    assert file.uri in str(raised.value)
