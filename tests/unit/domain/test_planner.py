"""Each history a table can have, and what the planner makes of it."""

from __future__ import annotations

from typing import Any

import pytest

from lakeloop.domain.plan import Plan, Watermark
from lakeloop.domain.planner import plan_range
from lakeloop.domain.snapshots import Column, Operation, Ref, Snapshot, TableState
from lakeloop.domain.use_case import SnapshotPolicy

UUID = "9c12d441-03fe-4693-9a96-a0705ddf69c1"
COLUMNS = (
    Column(field_id=1, name="id", type="long", required=True),
    Column(field_id=2, name="amount", type="float"),
)
REBUILD = SnapshotPolicy(
    on_overwrite="rebuild",
    on_delete="rebuild",
    on_expired_start="rebuild",
    on_rollback="rebuild",
    on_replaced_table="rebuild",
)


def snapshot(
    id_: str, parent: str | None, operation: Operation = "append", rows: int = 10, **more: Any
) -> Snapshot:
    """`more`: summary entries, their underscores standing for dashes."""
    summary = {key.replace("_", "-"): str(value) for key, value in more.items()}
    counts = {"added-records": str(rows)} if operation in {"append", "overwrite"} else {}
    return Snapshot(
        snapshot_id=id_,
        parent_id=parent,
        sequence_number=int(id_),
        operation=operation,
        schema_id=0,
        summary={**counts, **summary},
    )


def table(*snapshots: Snapshot, head: str | None = None, **more: Any) -> TableState:
    last = head or (snapshots[-1].snapshot_id if snapshots else None)
    schemas = {0: COLUMNS}
    return TableState(
        **{
            "name": "bank.t",
            "table_uuid": UUID,
            "current_snapshot_id": last,
            "snapshots": snapshots,
            "schemas": schemas,
            **more,
        }
    )


def consumed(id_: str, **more: Any) -> Watermark:
    columns = tuple((c.field_id, c.name, c.type) for c in COLUMNS)
    return Watermark(**{"table_uuid": UUID, "snapshot_id": id_, "schema_id": 0, "columns": columns, **more})


def plan(state: TableState | None, mark: Watermark | None = None, **policy: Any) -> Plan:
    return plan_range(state, mark, SnapshotPolicy(**policy))


def ids(answer: Plan) -> list[str]:
    return [s.snapshot_id for s in answer.snapshots]


def bounds(answer: Plan) -> tuple[str | None, str]:
    assert answer.range is not None
    assert (answer.range.table, answer.range.table_uuid) == ("bank.t", UUID)
    return answer.range.from_snapshot_id, answer.range.to_snapshot_id


def said(answer: Plan) -> str:
    return " | ".join(answer.reasons)


# ---------------------------------------------------------------------------------------- nothing to read


def test_no_table_yet() -> None:
    answer = plan(None)
    assert (answer.action, answer.range) == ("nothing", None)
    assert "does not exist yet" in said(answer)


def test_a_table_that_was_consumed_and_is_gone() -> None:
    answer = plan(None, consumed("7"))
    assert answer.action == "refuse"
    assert "gone" in said(answer)


def test_an_empty_table() -> None:
    answer = plan(table())
    assert (answer.action, answer.range, answer.snapshots) == ("nothing", None, ())


def test_nothing_new_is_no_error() -> None:
    answer = plan(table(snapshot("1", None), snapshot("2", "1")), consumed("2"))
    assert (answer.action, answer.range, answer.snapshots) == ("nothing", None, ())
    assert answer.reasons == ("no new snapshot since 2",)


@pytest.mark.parametrize(("asked", "action"), [(20, "append-scan"), (21, "nothing")])
def test_too_few_rows_wait(asked: int, action: str) -> None:
    state = table(snapshot("1", None), snapshot("2", "1"), snapshot("3", "2"))
    answer = plan(state, consumed("1"), min_rows=asked)
    assert answer.action == action
    assert ("fewer than the 21 asked for" in said(answer)) == (action == "nothing")


@pytest.mark.parametrize("min_rows", [0, 1])
def test_commits_without_a_row_are_nothing_to_train_on(min_rows: int) -> None:
    empty_append = snapshot("3", "2").model_copy(update={"summary": {"total-records": "10"}})
    compaction = snapshot("2", "1", "replace", added_records=10, deleted_records=10)
    answer = plan(table(snapshot("1", None), compaction, empty_append), consumed("1"), min_rows=min_rows)
    assert answer.action == "nothing"
    assert "no new row" in said(answer)


# ---------------------------------------------------------------------------------------- plain appends


def test_the_first_run_reads_from_the_first_row() -> None:
    answer = plan(table(snapshot("1", None), snapshot("2", "1")))
    assert (answer.action, bounds(answer), ids(answer)) == ("append-scan", (None, "2"), ["1", "2"])
    assert answer.added_rows == 20
    assert answer.columns == ((1, "id", "long"), (2, "amount", "float"))


def test_the_empty_append_at_which_a_table_begins_is_not_told_as_one() -> None:
    answer = plan(table(snapshot("1", None, rows=0), snapshot("2", "1")))
    assert (answer.action, ids(answer), answer.added_rows) == ("append-scan", ["1", "2"], 10)
    assert "1 append (2): 10 rows written" in said(answer)


def test_several_appends_since_the_watermark_are_read_together() -> None:
    chain = [snapshot(str(n), str(n - 1) if n > 1 else None) for n in range(1, 6)]
    answer = plan(table(*chain), consumed("2"))
    assert (answer.action, bounds(answer), ids(answer)) == ("append-scan", ("2", "5"), ["3", "4", "5"])
    assert answer.added_rows == 30
    assert "3 appends (3, 4, 5): 30 rows written" in said(answer)


def test_long_ids_are_shortened_for_the_eye_and_exact_in_the_plan() -> None:
    first, second = "3051729675574597004", "8801729675574591111"
    chain = [snapshot("1", None), snapshot("2", "1")]
    state = table(
        chain[0].model_copy(update={"snapshot_id": first}),
        chain[1].model_copy(update={"snapshot_id": second, "parent_id": first}),
        head=second,
    )
    answer = plan(state, consumed(first))
    assert (bounds(answer), ids(answer)) == ((first, second), [second])
    assert "8801…1111" in said(answer)


def test_compaction_changes_no_row() -> None:
    compaction = snapshot("3", "2", "replace", added_records=20, deleted_records=20)
    answer = plan(table(snapshot("1", None), snapshot("2", "1"), compaction), consumed("1"))
    assert (answer.action, ids(answer), answer.added_rows) == ("append-scan", ["2", "3"], 10)
    assert "1 compaction (3) changed no row" in said(answer)


def test_counts_that_a_writer_left_out_are_unknown_not_zero() -> None:
    bare = snapshot("2", "1").model_copy(update={"summary": {}})
    answer = plan(table(snapshot("1", None), bare), consumed("1"), min_rows=500)
    assert (answer.action, answer.added_rows) == ("append-scan", None)
    assert "unknown number of rows" in said(answer)


def test_a_cherry_picked_append_is_an_append_and_is_named() -> None:
    staged = snapshot("2", "1", wap_id="w")
    other = snapshot("3", "1")
    picked = snapshot("4", "3", source_snapshot_id="2", published_wap_id="w")
    answer = plan(table(snapshot("1", None), staged, other, picked), consumed("1"))
    assert (answer.action, ids(answer), answer.added_rows) == ("append-scan", ["3", "4"], 20)
    assert "published from staged commits: 1 append (4)" in said(answer)


def test_commits_on_branches_and_staged_commits_are_not_in_the_plan() -> None:
    branch = snapshot("3", "2", "overwrite", rows=999)
    staged = snapshot("4", "2", wap_id="w", rows=777)
    refs = (
        Ref(name="audit", kind="branch", snapshot_id="3"),
        Ref(name="main", kind="branch", snapshot_id="2"),
    )
    state = table(snapshot("1", None), snapshot("2", "1"), branch, staged, head="2", refs=refs)
    answer = plan(state, consumed("1"))
    assert (answer.action, ids(answer), answer.added_rows) == ("append-scan", ["2"], 10)
    assert not any(word in said(answer) for word in ("3", "4", "999", "777", "branch", "staged", "audit"))


# ---------------------------------------------------------------------------------------- overwrite, delete


@pytest.mark.parametrize(("operation", "setting"), [("overwrite", "on_overwrite"), ("delete", "on_delete")])
@pytest.mark.parametrize("choice", ["refuse", "changelog", "rebuild"])
def test_overwrites_and_deletes_follow_the_policy(operation: Operation, setting: str, choice: str) -> None:
    change = snapshot("3", "2", operation, deleted_records=4, total_records=16)
    answer = plan(table(snapshot("1", None), snapshot("2", "1"), change), consumed("1"), **{setting: choice})
    assert answer.action == choice
    expected = (None, "3") if choice == "rebuild" else ("1", "3")
    assert bounds(answer) == expected
    assert f"1 {operation} (3)" in said(answer)
    assert (f"snapshots.{setting}" in said(answer)) == (choice == "refuse")
    if choice == "rebuild":
        assert (answer.added_rows, ids(answer)) == (16, ["1", "2", "3"])


def test_the_default_refuses_both() -> None:
    for operation in ("overwrite", "delete"):
        changed: Snapshot = snapshot("2", "1", operation)
        assert plan(table(snapshot("1", None), changed), consumed("1")).action == "refuse"


def test_of_two_choices_the_more_cautious_one_holds() -> None:
    state = table(
        snapshot("1", None), snapshot("2", "1"), snapshot("3", "2", "overwrite"), snapshot("4", "3", "delete")
    )
    mixed = {
        ("rebuild", "changelog"): "rebuild",
        ("changelog", "refuse"): "refuse",
        ("changelog", "changelog"): "changelog",
    }
    for (overwrite, delete), action in mixed.items():
        assert plan(state, consumed("1"), on_overwrite=overwrite, on_delete=delete).action == action


@pytest.mark.parametrize(
    "mislabelled",
    [
        snapshot("2", "1", "append", deleted_records=3),
        snapshot("2", "1", "append", added_delete_files=1),
        snapshot("2", "1", "replace", added_records=11, deleted_records=10),
        snapshot("2", "1", "replace", added_records=9, deleted_records=10, total_delete_files=0),
        snapshot("2", "1", "unknown"),
    ],
    ids=[
        "append that deletes",
        "append with delete files",
        "compaction that adds",
        "compaction that loses",
        "no operation",
    ],
)
def test_a_commit_that_is_not_what_it_says_counts_as_an_overwrite(mislabelled: Snapshot) -> None:
    assert plan(table(snapshot("1", None), mislabelled), consumed("1")).action == "refuse"


@pytest.mark.parametrize(
    "counts",
    [{"total_delete_files": 1}, {"total_delete_files": 0, "removed_delete_files": 1}, {}],
    ids=["some are left", "they went with it", "nobody counted"],
)
def test_a_compaction_may_leave_out_what_delete_files_deleted(counts: dict[str, int]) -> None:
    fewer = snapshot("3", "2", "replace", added_records=9, deleted_records=10, **counts)
    answer = plan(table(snapshot("1", None), snapshot("2", "1"), fewer), consumed("1"))
    assert (answer.action, answer.added_rows) == ("append-scan", 10)


def test_a_row_that_is_inexact_under_delete_files_is_not_counted() -> None:
    change = snapshot("2", "1", "delete", total_records=10, total_delete_files=1, total_position_deletes=2)
    answer = plan(table(snapshot("1", None), change), consumed("1"), on_delete="rebuild")
    assert (answer.action, answer.added_rows) == ("rebuild", None)


@pytest.mark.parametrize("operation", ["overwrite", "delete", "unknown"])
def test_a_first_run_after_overwrites_or_deletes_reads_the_table_as_it_is(operation: Operation) -> None:
    change = snapshot("2", "1", operation, total_records=7)
    answer = plan(table(snapshot("1", None), change))
    assert (answer.action, bounds(answer), answer.added_rows) == ("rebuild", (None, "2"), 7)
    assert "read whole" in said(answer)


def test_a_first_run_over_expired_snapshots_reads_the_table_whole() -> None:
    state = table(snapshot("2", "1"), snapshot("3", "2", total_records=30))
    answer = plan(state)
    assert (answer.action, bounds(answer), answer.added_rows) == ("rebuild", (None, "3"), 30)
    assert "expired" in said(answer)


# ---------------------------------------------------------------------------------------- a lost watermark


def test_an_expired_watermark_whose_child_is_left_still_starts_the_range() -> None:
    answer = plan(table(snapshot("3", "2"), snapshot("4", "3")), consumed("2"))
    assert (answer.action, bounds(answer), ids(answer)) == ("append-scan", ("2", "4"), ["3", "4"])


@pytest.mark.parametrize("policy", [SnapshotPolicy(), REBUILD])
def test_an_expired_watermark_without_its_child(policy: SnapshotPolicy) -> None:
    state = table(snapshot("4", "3"), snapshot("5", "4", total_records=50))
    answer = plan_range(state, consumed("2"), policy)
    assert answer.action == policy.on_expired_start
    assert "have expired" in said(answer)
    if policy is REBUILD:
        assert (bounds(answer), answer.added_rows) == ((None, "5"), 50)


@pytest.mark.parametrize("policy", [SnapshotPolicy(), REBUILD])
def test_a_pinned_watermark_behind_an_expired_middle(policy: SnapshotPolicy) -> None:
    state = table(snapshot("2", "1"), snapshot("4", "3"), snapshot("5", "4"))
    answer = plan_range(state, consumed("2"), policy)
    assert answer.action == policy.on_expired_start
    assert "between the consumed 2 and the oldest that is left, 4, have expired" in said(answer)


@pytest.mark.parametrize("policy", [SnapshotPolicy(), REBUILD])
def test_a_rolled_back_table(policy: SnapshotPolicy) -> None:
    state = table(snapshot("1", None), snapshot("2", "1"), snapshot("3", "2"), head="1")
    answer = plan_range(state, consumed("3"), policy)
    assert answer.action == policy.on_rollback
    assert "rolled back to 1: 2 consumed snapshots up to 3 no longer in it" in said(answer)
    if policy is REBUILD:
        assert (bounds(answer), ids(answer)) == ((None, "1"), ["1"])


@pytest.mark.parametrize("policy", [SnapshotPolicy(), REBUILD])
def test_a_table_that_went_another_way_since(policy: SnapshotPolicy) -> None:
    state = table(snapshot("1", None), snapshot("2", "1"), snapshot("3", "1"))
    answer = plan_range(state, consumed("2"), policy)
    assert answer.action == policy.on_rollback
    assert "rolled back to 1 and went on from there" in said(answer)


@pytest.mark.parametrize("policy", [SnapshotPolicy(), REBUILD])
def test_a_rollback_whose_consumed_snapshots_have_expired_since(policy: SnapshotPolicy) -> None:
    answer = plan_range(table(snapshot("1", None), snapshot("4", "1")), consumed("3"), policy)
    assert answer.action == policy.on_rollback
    assert "does not contain the consumed 3" in said(answer)


def test_a_head_older_than_the_watermark_is_a_rollback_even_where_the_middle_expired() -> None:
    state = table(snapshot("7", "6"), snapshot("3", "2"), head="3")
    assert plan(state, consumed("7"), on_expired_start="rebuild").action == "refuse"


def test_back_and_forth_ends_where_it_was() -> None:
    state = table(snapshot("1", None), snapshot("2", "1"), snapshot("3", "2"), head="3")
    assert ids(plan(state, consumed("2"))) == ["3"]


@pytest.mark.parametrize("policy", [SnapshotPolicy(), REBUILD])
def test_a_recreated_table(policy: SnapshotPolicy) -> None:
    answer = plan_range(
        table(snapshot("2", None, total_records=10)), consumed("1", table_uuid="other"), policy
    )
    assert answer.action == policy.on_replaced_table
    assert bounds(answer) == (None, "2")
    assert "dropped and made anew" in said(answer)


@pytest.mark.parametrize("policy", [SnapshotPolicy(), REBUILD])
def test_a_table_replaced_in_place_keeps_its_uuid_and_is_told_apart(policy: SnapshotPolicy) -> None:
    answer = plan_range(table(snapshot("1", None), snapshot("2", None)), consumed("1"), policy)
    assert answer.action == policy.on_replaced_table
    assert "replaced in place" in said(answer)


def test_a_table_emptied_behind_our_back() -> None:
    state = table(snapshot("1", None)).model_copy(update={"current_snapshot_id": None})
    assert plan(state, consumed("1")).action == "refuse"
    assert plan_range(state, consumed("1"), REBUILD).action == "nothing"


# ---------------------------------------------------------------------------------------- schema


CHANGES = {
    "added": (*COLUMNS, Column(field_id=3, name="city", type="string")),
    "dropped": COLUMNS[:1],
    "renamed": (COLUMNS[0], Column(field_id=2, name="sum", type="float")),
    "widened": (COLUMNS[0], Column(field_id=2, name="amount", type="double")),
    "dropped and added again": (COLUMNS[0], Column(field_id=3, name="amount", type="float")),
}
WORDS = {
    "added": "column 'city' (string) was added",
    "dropped": "column 'amount' was dropped",
    "renamed": "column 'amount' was renamed to 'sum'",
    "widened": "column 'amount' changed from float to double",
    "dropped and added again": "column 'amount' was dropped",
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("policy", ["refuse", "allow_added", "rebuild"])
@pytest.mark.parametrize("remembered", [True, False])
def test_a_changed_schema(change: str, policy: str, remembered: bool) -> None:
    schemas = {0: COLUMNS, 1: CHANGES[change]}
    state = table(snapshot("1", None), snapshot("2", "1"), schemas=schemas, current_schema_id=1)
    mark = consumed("1") if remembered else consumed("1", columns=())
    answer = plan(state, mark, on_schema_change=policy)
    allowed = (change, policy) == ("added", "allow_added")
    assert answer.action == ("rebuild" if policy == "rebuild" else "append-scan" if allowed else "refuse")
    assert WORDS[change] in said(answer)
    assert answer.schema_id == 1


@pytest.mark.parametrize("change", sorted(set(CHANGES) - {"added"}))
@pytest.mark.parametrize(("used", "action"), [({"id"}, "append-scan"), ({"id", "amount"}, "refuse")])
def test_a_column_that_nobody_looks_at_may_change(change: str, used: set[str], action: str) -> None:
    schemas = {0: COLUMNS, 1: CHANGES[change]}
    state = table(snapshot("1", None), snapshot("2", "1"), schemas=schemas, current_schema_id=1)
    policy = SnapshotPolicy(on_schema_change="allow_added")
    answer = plan_range(state, consumed("1"), policy, lambda names: used & set(names))
    assert answer.action == action
    assert WORDS[change] in said(answer)


def test_the_new_name_of_a_column_counts_as_well() -> None:
    schemas = {0: COLUMNS, 1: CHANGES["renamed"]}
    state = table(snapshot("1", None), snapshot("2", "1"), schemas=schemas, current_schema_id=1)
    assert plan_range(state, consumed("1"), SnapshotPolicy(), lambda _: {"sum"}).action == "refuse"


def test_a_reordered_schema_or_a_new_optional_flag_is_no_change() -> None:
    relaxed = (COLUMNS[1], COLUMNS[0].model_copy(update={"required": False}))
    state = table(
        snapshot("1", None), snapshot("2", "1"), schemas={0: COLUMNS, 1: relaxed}, current_schema_id=1
    )
    assert plan(state, consumed("1")).action == "append-scan"


def test_a_schema_that_nobody_remembers_is_said_to_be_unknown() -> None:
    answer = plan(table(snapshot("1", None), snapshot("2", "1")), consumed("1", columns=(), schema_id=None))
    assert answer.action == "append-scan"
    assert "schema of the last training is not known" in said(answer)


def test_all_obstacles_are_told_at_once() -> None:
    schemas = {0: COLUMNS, 1: CHANGES["dropped"]}
    state = table(snapshot("1", None), snapshot("2", "1", "delete"), schemas=schemas, current_schema_id=1)
    answer = plan(state, consumed("1"))
    assert answer.action == "refuse"
    assert "1 delete (2)" in said(answer)
    assert "'amount' was dropped" in said(answer)


# ---------------------------------------------------------------------------------------- corrupt metadata


@pytest.mark.parametrize("mark", [None, consumed("1"), consumed("9")])
@pytest.mark.parametrize(
    "state",
    [
        table(snapshot("1", "2"), snapshot("2", "1")),
        table(snapshot("1", "1")),
        table(snapshot("1", None), head="5"),
        table(snapshot("1", None), snapshot("1", None), snapshot("2", "1")),
    ],
    ids=["loop", "own parent", "head is not there", "one id twice"],
)
def test_corrupt_metadata_is_refused(state: TableState, mark: Watermark | None) -> None:
    answer = plan_range(state, mark, REBUILD)
    assert answer.action == "refuse"
    assert "corrupt" in said(answer)
