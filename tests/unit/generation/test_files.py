"""A batch on disk: whole or not at all, made once, never mistaken for another."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pyarrow.parquet as pq
import pytest

from lakeloop.adapters.files.generator import FileBatchGenerator
from lakeloop.domain.batch import Batch, BatchOptions, Plants
from lakeloop.domain.errors import UserError
from lakeloop.generation import parts
from lakeloop.generation.rows import Part, generate_rows
from lakeloop.settings import Settings
from lakeloop.use_case_files.loading import load_use_case

USE_CASE = load_use_case(str(Path(__file__).parents[3] / "conf" / "use_cases" / "cell_towers.yaml"))


def paths(batch: Batch) -> list[Path]:
    return [Path(unquote(urlsplit(uri).path)) for uri in batch.files]


def test_the_files_hold_the_rows_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "ROWS_PER_FILE", 1000)
    monkeypatch.setattr(parts, "ROWS_PER_GROUP", 300)
    batch = FileBatchGenerator(Settings(home=tmp_path / "a home")).generate(
        USE_CASE, 2, BatchOptions(rows=2500)
    )
    assert [pq.read_metadata(p).num_rows for p in paths(batch)] == [1000, 1000, 500]
    read = pq.read_table([str(p) for p in paths(batch)])
    assert read.equals(generate_rows(USE_CASE, Part(2, 2500, 0, 2500)))


def test_a_batch_is_made_once_and_mended_when_a_file_is_gone(tmp_path: Path) -> None:
    generator = FileBatchGenerator(Settings(home=tmp_path))
    first = generator.generate(USE_CASE, 1, BatchOptions())
    (file,) = paths(first)
    made_at = file.stat().st_mtime_ns
    assert generator.generate(USE_CASE, 1, BatchOptions()) == first
    assert file.stat().st_mtime_ns == made_at
    content = file.read_bytes()
    file.write_bytes(content[:100])
    generator.generate(USE_CASE, 1, BatchOptions())
    assert file.read_bytes() == content
    assert not list(file.parent.glob("*.tmp"))


def test_other_rows_have_another_identity(tmp_path: Path) -> None:
    generator = FileBatchGenerator(Settings(home=tmp_path))
    batches = [
        generator.generate(USE_CASE, number, BatchOptions(rows=rows, plants=plants))
        for number, rows, plants in [
            (1, 50, Plants()),
            (2, 50, Plants()),
            (1, 51, Plants()),
            (1, 50, Plants(label_shift=1)),
        ]
    ]
    assert len({b.batch_id for b in batches}) == 4


def test_a_callers_batch_id_names_one_batch(tmp_path: Path) -> None:
    generator = FileBatchGenerator(Settings(home=tmp_path))
    mine = generator.generate(USE_CASE, 1, BatchOptions(rows=50, batch_id="mine"))
    assert mine.batch_id == "mine"
    with pytest.raises(UserError, match="already names other rows"):
        generator.generate(USE_CASE, 2, BatchOptions(rows=50, batch_id="mine"))
