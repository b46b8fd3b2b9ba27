"""What a version pins, and how its rows are read again whatever others expire."""

from __future__ import annotations

from typing import Any

import pytest

from lakeloop.domain.errors import RefusedError
from lakeloop.domain.lineage import TrainingSet
from lakeloop.domain.pins import pinned_by, pinned_for, pins
from lakeloop.domain.rereading import check_features_kept, check_source_kept, ranges_to_reread, reading_of
from lakeloop.domain.snapshots import Column, Operation, Ref, Snapshot, SnapshotRange, TableState


def training_set(start: str | None, end: str, ranges: int = 1, oldest: str | None = None) -> TrainingSet:
    return TrainingSet(
        use_case="pumps",
        range=SnapshotRange(table="a.t", table_uuid="u", from_snapshot_id=start, to_snapshot_id=end),
        snapshots=("3", "4"),
        schema_id=0,
        feature_hash="h",
        feature_table="a.f",
        feature_table_uuid="fu",
        feature_snapshot_id="9",
        range_ids=tuple(f"r{i}" for i in range(ranges)),
        newest_range_id="r0",
        rows=2,
        newest_rows=1,
        window_from_snapshot_id=oldest,
    )


def state(*ids: str, name: str = "a.t", uuid: str = "u", **operations: Operation) -> TableState:
    """A linear history 1, 2, 3...; only `ids` are left of it."""
    snapshots = tuple(
        Snapshot(
            snapshot_id=i,
            parent_id=str(int(i) - 1) if i != "1" else None,
            operation=operations.get(f"s{i}", "append"),
        )
        for i in ids
    )
    return TableState(name=name, table_uuid=uuid, current_snapshot_id=ids[-1], snapshots=snapshots)


@pytest.mark.parametrize(
    ("made", "retained", "held"),
    [
        (training_set(None, "4"), {"4"}, {"_": "4"}),
        (training_set("2", "4"), {"2", "3", "4"}, {"_": "4", "_from": "2"}),
        (training_set("2", "4"), {"3", "4"}, {"_": "4", "_s3": "3"}),
        (training_set("2", "4", 2, "1"), {"1", "2", "4"}, {"_": "4", "_from": "2", "_window": "1"}),
        (training_set("2", "4", 2), {"2", "4"}, {"_": "4", "_from": "2"}),
    ],
)
def test_a_version_pins_what_its_replay_reads(made: TrainingSet, retained: set[str], held: Any) -> None:
    found = pins("pumps", "7", made, retained)
    tags = {f"lakeloop_pumps_v7{'' if end == '_' else end}": at for end, at in held.items()}
    assert {pin.tag: pin.snapshot_id for pin in found if pin.table == "a.t"} == tags
    assert [(p.tag, p.snapshot_id) for p in found if p.table == "a.f"] == [("lakeloop_pumps_v7", "9")]
    refs = [Ref(name=p.tag, kind="tag", snapshot_id=p.snapshot_id) for p in found if p.table == "a.t"]
    others = [
        Ref(name=name, kind="tag", snapshot_id="1")
        for name in ("lakeloop_pumps_v77", "lakeloop_pumps_v7_v7", "mine_v7")
    ]
    assert set(pinned_by([*refs, *others], "pumps", "7")) == set(tags), "what retiring it unpins"


def test_a_tags_name_tells_its_version() -> None:
    assert pinned_for("lakeloop_card_fraud_v12_from") == ("card_fraud", "12")
    assert pinned_for("lakeloop_x_v1_v2") == ("x_v1", "2")
    assert pinned_for("lakeloop_batch_abc") is None


@pytest.mark.parametrize(
    ("table", "start", "expected"),
    [
        (state("1", "2", "3", "4"), None, "whole"),
        (state("4"), None, "whole"),
        (state("1", "2", "3", "4"), "2", "appends"),
        (state("3", "4"), "2", "appends"),
        (state("1", "2", "3", "4", s3="replace"), "2", "appends"),
        (state("1", "2", "3", "4", s3="delete"), "2", "difference"),
        (state("2", "4"), "2", "difference"),
        (state("4"), "2", None),
        (state("2", "3"), "2", None),
    ],
)
def test_how_a_range_is_read_again(table: TableState, start: str | None, expected: str | None) -> None:
    range_ = SnapshotRange(table="a.t", table_uuid="u", from_snapshot_id=start, to_snapshot_id="4")
    assert reading_of(table, range_) == expected


def test_after_a_rename_the_incremental_scan_has_other_columns() -> None:
    before, after = (Column(field_id=1, name=name, type="long") for name in ("amount", "price"))
    table = state("2", "3", "4")
    snapshots = tuple(s.model_copy(update={"schema_id": 0}) for s in table.snapshots)
    range_ = training_set("2", "4").range
    for columns, expected in [(before, "appends"), (after, "difference")]:
        schemas = {0: (before,), 1: (columns,)}
        changed = {"snapshots": snapshots, "schemas": schemas, "current_schema_id": 1}
        assert reading_of(table.model_copy(update=changed), range_) == expected


def test_all_before_the_newest_range_is_read_as_one() -> None:
    ends = [(r.from_snapshot_id, r.to_snapshot_id) for r in ranges_to_reread(training_set("2", "4", 5, "1"))]
    assert ends == [("2", "4"), ("1", "2")]
    ends = [(r.from_snapshot_id, r.to_snapshot_id) for r in ranges_to_reread(training_set("2", "4", 5))]
    assert ends == [("2", "4"), (None, "2")]
    assert len(ranges_to_reread(training_set("2", "4"))) == 1


def test_data_that_is_gone_is_named_with_the_reason() -> None:
    made = training_set("2", "4")
    check_source_kept(made, state("2", "4"), "7")
    check_source_kept(made, state("3", "4"), "7")
    for table, said in [
        (state("3", "5"), r"snapshot 4 cannot be read, it has expired.*lakeloop_pumps_v7"),
        (state("4"), "snapshot 2 cannot be read, it has expired"),
        (state("2", "4", uuid="new"), "the table was replaced: it is new now, was u"),
        (None, "the table was dropped"),
    ]:
        with pytest.raises(RefusedError, match=said):
            check_source_kept(made, table, "7")
    check_features_kept(made, state("9", name="a.f", uuid="fu"), "7")
    with pytest.raises(RefusedError, match=r"a.f: .*snapshot 9 .*--from source may still do"):
        check_features_kept(made, state("8", name="a.f", uuid="fu"), "7")
