"""`show` and `tidy` as a person and a script see them; the table is written without a JVM."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

from lakeloop.adapters.iceberg.lake import IcebergLake
from lakeloop.settings import Settings
from tests.unit.cli.test_commands import Command, lakeloop

__all__ = ["lakeloop"]
TABLE = "bank.cards"


@pytest.fixture
def snapshots(lakeloop: Command) -> list[str]:
    """Two appends, the first one under a tag."""
    lake = IcebergLake(Settings(home=lakeloop.home))
    lake.catalog.create_namespace("bank")
    rows = pa.table({"id": [1, 2], "x": [0.5, None], "name": ["a", "[b]"]})
    table = lake.catalog.create_table(TABLE, rows.schema)
    heads = []
    for batch in (rows, pa.table({"id": [3], "x": [2.5], "name": ["c"]})):
        table.append(batch, snapshot_properties={"lakeloop.batch-id": f"b{len(heads)}"})
        heads.append(str(table.refresh().metadata.current_snapshot_id))
    lake.pin(TABLE, "lakeloop_cards_v1", heads[0])
    return heads


def test_rows_of_then_and_now(lakeloop: Command, snapshots: list[str]) -> None:
    code, out, _ = lakeloop("show", TABLE, "--at", "lakeloop_cards_v1")
    assert code == 0
    assert f"{TABLE} at snapshot {snapshots[0]} of 20" in out
    assert "2 rows of 2" in out
    assert [line.split() for line in out.splitlines() if "[b]" in line] == [["2", "-", "[b]"]]
    document = json.loads(lakeloop("show", TABLE, "--columns", "id", "--rows", "2", "--json")[1])
    assert document["snapshot"]["snapshot_id"] == snapshots[1]
    assert len(document["rows"]) == 2
    assert set(document["rows"][0]) == {"id"}


def test_views(lakeloop: Command, snapshots: list[str]) -> None:
    commits = lakeloop("show", TABLE, "--snapshots")[1]
    assert all(text in commits for text in (*snapshots, "b0", "b1", "lakeloop_cards_v1", "append"))
    assert "version 1 of cards, until it is retired" in lakeloop("show", TABLE, "--refs")[1]
    assert "first" in lakeloop("show", TABLE, "--history")[1]
    assert "double" in lakeloop("show", TABLE, "--schema")[1]


def test_a_diff_in_words_and_as_json(lakeloop: Command, snapshots: list[str]) -> None:
    out = lakeloop("show", TABLE, "--diff", f"{snapshots[0]}..")[1]
    assert "1 row added, 0 rows removed (by data files)" in out
    assert "2.5 *" in out
    document = json.loads(lakeloop("show", TABLE, "--diff", "lakeloop_cards_v1..main", "--json")[1])
    assert document["rows"]["added_rows"] == [{"id": 3, "x": 2.5, "name": "c"}]
    x = next(c for c in document["columns"] if c["name"] == "x")
    assert (x["before"]["nulls"], x["after"]["nulls"], x["after"]["mean"]) == (1, 1, 1.5)
    assert "nulls" not in x["changed"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["show", "no.table"], "there is no table no.table"),
        (["show", TABLE, "--at", "3051729675574597004"], "nearest:"),
        (["show", TABLE, "--at", "2001-01-01"], "no snapshot yet at 2001-01-01T00:00:00Z"),
        (["show", TABLE, "--refs", "--schema"], "different views"),
        (["show", TABLE, "--diff", "main"], "has no '..'"),
        (["show", TABLE, "--columns", "idd"], "it has id, x, name"),
        (["tidy", "--older-than", "5"], "no age -> write e.g."),
        (["tidy", "--dry-run", "--yes"], "exclude each other"),
    ],
)
def test_what_is_wrong_is_told(lakeloop: Command, snapshots: list[str], words: list[str], told: str) -> None:
    code, out, err = lakeloop(*words)
    assert (code, out) == (2, "")
    assert told in err


def test_tidying_shows_first_and_removes_when_told(lakeloop: Command, tmp_path: Path) -> None:
    old = lakeloop.home / "journal" / "run-1"
    old.mkdir(parents=True)
    (old / "plan.json").write_text("{}")
    words = ("tidy", "--runs-older-than", "0s")
    assert "nothing to tidy" in lakeloop(*words)[1]  # written just now: the clocks may differ
    lakeloop._patch.setenv("LAKELOOP_CLOCK_SKEW_SECONDS", "0")
    code, out, _ = lakeloop(*words)
    assert (code, old.exists()) == (0, True)
    assert "nothing was removed yet" in out
    assert "removed 1 of 1" in lakeloop(*words, "--yes")[1]
    assert not old.exists()
