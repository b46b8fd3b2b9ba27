"""What holds of every table metadata."""

from __future__ import annotations

from typing import get_args

from hypothesis import given, settings
from hypothesis import strategies as st

from lakeloop.domain.ledger import LedgerEvent, watermark
from lakeloop.domain.plan import Action, Plan, Watermark
from lakeloop.domain.planner import plan_range
from lakeloop.domain.snapshots import Column, Operation, Snapshot, TableState
from lakeloop.domain.use_case import SnapshotPolicy

IDS = st.sampled_from([str(n) for n in range(1, 8)]) | st.sampled_from(["-1", "", "3051729675574597004"])
COUNTS = st.sampled_from(["0", "1", "17", "-3", "²", "x", "9" * 5000, "9223372036854775807"])
KEYS = [
    "added-records",
    "deleted-records",
    "added-data-files",
    "added-delete-files",
    "total-records",
    "total-delete-files",
    "source-snapshot-id",
]
SNAPSHOTS = st.builds(
    Snapshot,
    snapshot_id=IDS,
    parent_id=st.none() | IDS,
    sequence_number=st.integers(-1, 9),
    operation=st.sampled_from(get_args(Operation)),
    schema_id=st.none() | st.integers(0, 2),
    summary=st.dictionaries(st.sampled_from(KEYS), COUNTS),
)
COLUMNS = st.lists(
    st.builds(
        Column, field_id=st.integers(1, 4), name=st.sampled_from("abc"), type=st.sampled_from(["int", "long"])
    ),
    max_size=3,
).map(tuple)
UUIDS = st.sampled_from(["u", "v"])
STATES = st.builds(
    TableState,
    name=st.just("a.b"),
    table_uuid=UUIDS,
    current_snapshot_id=st.none() | IDS,
    snapshots=st.lists(SNAPSHOTS, max_size=8).map(tuple),
    schemas=st.dictionaries(st.integers(0, 2), COLUMNS),
    current_schema_id=st.integers(0, 2),
)
WATERMARKS = st.builds(
    Watermark,
    table_uuid=UUIDS,
    snapshot_id=IDS,
    schema_id=st.none() | st.integers(0, 2),
    columns=COLUMNS.map(lambda cs: tuple((c.field_id, c.name, c.type) for c in cs)),
)
CHOICES = st.sampled_from(["refuse", "rebuild"])
POLICIES = st.builds(
    SnapshotPolicy,
    min_rows=st.sampled_from([0, 1, 18]),
    on_overwrite=CHOICES | st.just("changelog"),
    on_delete=CHOICES | st.just("changelog"),
    on_expired_start=CHOICES,
    on_rollback=CHOICES,
    on_replaced_table=CHOICES,
    on_schema_change=st.sampled_from(["refuse", "allow_added", "rebuild"]),
)


@settings(max_examples=400)
@given(st.none() | STATES, st.none() | WATERMARKS, POLICIES)
def test_planning_is_total_deterministic_and_consistent(
    state: TableState | None, mark: Watermark | None, policy: SnapshotPolicy
) -> None:
    plan = plan_range(state, mark, policy)
    assert plan == plan_range(state, mark, policy)
    assert plan.action in get_args(Action)
    assert all(plan.reasons)
    assert plan.reasons
    assert Plan.model_validate_json(plan.model_dump_json()) == plan
    if plan.action in {"append-scan", "changelog", "rebuild"}:
        assert state is not None
        assert plan.range is not None
        assert plan.range.to_snapshot_id == state.current_snapshot_id == plan.snapshots[-1].snapshot_id
        linked = zip(plan.snapshots, plan.snapshots[1:], strict=False)
        assert all(after.parent_id == before.snapshot_id for before, after in linked)
    if plan.action == "append-scan":
        assert {s.operation for s in plan.snapshots} <= {"append", "replace"}
        assert plan.range is not None
        assert plan.snapshots[0].parent_id == plan.range.from_snapshot_id


@given(
    st.lists(st.integers(1, 1000), min_size=1, max_size=30),
    st.sets(st.integers(1, 30)),
    st.sets(st.integers(1, 30)),
    st.sets(st.integers(2, 30)),
)
def test_any_cut_of_an_append_only_history_reads_each_snapshot_exactly_once(
    rows: list[int], cuts: set[int], failures: set[int], compactions: set[int]
) -> None:
    """Runs happen after the commits in `cuts`; those in `failures` end without a terminal outcome."""
    chain: list[Snapshot] = []
    events: list[LedgerEvent] = []
    read: list[str] = []
    total = 0
    for number, count in enumerate(rows, start=1):
        chain.append(_commit(number, count, compaction=number in compactions))
        if number not in cuts and number != len(rows):
            continue
        state = TableState(
            name="a.b", table_uuid="u", snapshots=tuple(chain), current_snapshot_id=chain[-1].snapshot_id
        )
        plan = plan_range(state, watermark(events), SnapshotPolicy())
        if plan.action == "nothing" or (number in failures and number != len(rows)):
            continue
        assert plan.action == "append-scan"
        read += [s.snapshot_id for s in plan.snapshots]
        total += plan.added_rows or 0
        events.append(_promoted(plan, number))
    expected = [s.snapshot_id for s in chain]
    trailing = {s.snapshot_id for s in chain[len(read) :]}
    assert read == [i for i in expected if i not in trailing]
    assert all(s.operation == "replace" for s in chain[len(read) :])
    assert total == sum(count for n, count in enumerate(rows, start=1) if n not in compactions)


def _commit(number: int, rows: int, *, compaction: bool) -> Snapshot:
    return Snapshot(
        snapshot_id=str(number),
        parent_id=str(number - 1) if number > 1 else None,
        sequence_number=number,
        operation="replace" if compaction else "append",
        summary={"added-records": str(rows), **({"deleted-records": str(rows)} if compaction else {})},
    )


def _promoted(plan: Plan, number: int) -> LedgerEvent:
    return LedgerEvent(
        event_id=str(number),
        use_case="u",
        kind="promoted",
        at_ms=number,
        by="t",
        reason="r",
        range=plan.range,
    )
