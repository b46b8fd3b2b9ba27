"""From a table's metadata to what a training reads: pure, total, deterministic.

Iceberg's incremental scans cannot be asked: the append scan silently drops every snapshot that is no append,
and "nothing new", "expired" and "rolled back" are one error message to it. So this walks main's ancestry, by
the rule of Iceberg's `BaseIncrementalScan`: `(from, to]` is valid exactly when a retained ancestor of `to`
has `from` as its parent; `from` itself may have expired.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lakeloop.domain.history import added_rows, counted, described, is_harmless, row_effect, short, table_rows
from lakeloop.domain.lost_watermark import lost_watermark
from lakeloop.domain.plan import Action, Finding, Plan, Watermark
from lakeloop.domain.schema_changes import ColumnKey, InUse, column_keys, schema_findings
from lakeloop.domain.snapshots import Ancestry, Snapshot, SnapshotRange, TableState, ancestry
from lakeloop.domain.use_case import SnapshotPolicy


@dataclass(frozen=True)
class _Case:
    """All that a decision rests on."""

    state: TableState
    watermark: Watermark | None
    policy: SnapshotPolicy
    history: Ancestry
    in_use: InUse


def plan_range(
    state: TableState | None, watermark: Watermark | None, policy: SnapshotPolicy, in_use: InUse = frozenset
) -> Plan:
    """What to read of a table since the watermark.

    Args:
        state: the table's current metadata; None where there is no table.
        watermark: the end of the last consumed range; None before the first training.
        policy: the use case's choices for histories that are not plain appends.
        in_use: which columns the use case looks at; by default all.

    Returns:
        A plan with at least one reason. No metadata makes it raise.
    """
    if state is None:
        return _absent(watermark)
    case = _Case(state, watermark, policy, ancestry(state), in_use)
    if case.history.end == "corrupt":
        at = short(case.history.missing_id)
        return _answer(
            case, "refuse", [f"the table's metadata is corrupt: its history breaks or loops at {at}"]
        )
    if watermark is None:
        return _first(case)
    if watermark.table_uuid != state.table_uuid:
        return _decide(case, [_recreated(state, watermark, policy)], None)
    if state.current_snapshot_id == watermark.snapshot_id:
        return _answer(case, "nothing", [f"no new snapshot since {short(watermark.snapshot_id)}"])
    return _same_table(case, watermark)


def _absent(watermark: Watermark | None) -> Plan:
    if watermark is None:
        return Plan(action="nothing", reasons=("the table does not exist yet",))
    reason = f"the table is gone; the last training consumed its snapshot {short(watermark.snapshot_id)}"
    return Plan(action="refuse", reasons=(reason,), watermark=watermark)


def _first(case: _Case) -> Plan:
    """No rows were consumed before, so that whatever happened to the table, reading it whole is exact."""
    if not case.history.snapshots:
        return _answer(case, "nothing", ["the table has no snapshot yet"])
    findings = [Finding(text="first training: from the first row")]
    changed = [s for s in case.history.snapshots if not is_harmless(s)]
    if changed:
        text = f"its history has {described(changed)}: read whole, as it is now"
        findings.append(Finding(text=text, choice="rebuild"))
    if case.history.end == "expired":
        text = "its oldest snapshots have expired: read whole, as it is now"
        findings.append(Finding(text=text, choice="rebuild"))
    return _decide(case, findings, case.history.snapshots[::-1])


def _recreated(state: TableState, watermark: Watermark, policy: SnapshotPolicy) -> Finding:
    uuids = f"its uuid was {watermark.table_uuid}, now it is {state.table_uuid}"
    text = f"the table was dropped and made anew: {uuids}"
    return Finding(text=text, choice=policy.on_replaced_table, setting="on_replaced_table")


def _same_table(case: _Case, watermark: Watermark) -> Plan:
    known = _consumed_columns(case.state, watermark)
    findings = schema_findings(known, column_keys(case.state.columns), case.policy, case.in_use)
    since = _since(case.history, watermark.snapshot_id)
    if since is None:
        return _decide(
            case, [lost_watermark(case.state, case.history, watermark, case.policy), *findings], None
        )
    return _decide(case, [*_changes(since, case.policy), *findings], since)


def _consumed_columns(state: TableState, watermark: Watermark) -> tuple[ColumnKey, ...]:
    if watermark.columns or watermark.schema_id is None:
        return watermark.columns
    return column_keys(state.schemas.get(watermark.schema_id, ()))


def _since(history: Ancestry, snapshot_id: str) -> tuple[Snapshot, ...] | None:
    """Main's commits after the snapshot, oldest first; None where no retained one has it as its parent."""
    newer: list[Snapshot] = []
    for snapshot in history.snapshots:
        newer.append(snapshot)
        if snapshot.parent_id == snapshot_id:
            return tuple(reversed(newer))
    return None


def _changes(since: Sequence[Snapshot], policy: SnapshotPolicy) -> list[Finding]:
    findings = []
    picked = [s for s in since if "source-snapshot-id" in s.summary or "published-wap-id" in s.summary]
    overwrites = [s for s in since if row_effect(s) in {"overwrite", "unknown"}]
    deletes = [s for s in since if row_effect(s) == "delete"]
    if overwrites:
        text = f"{described(overwrites)} may have changed rows"
        findings.append(Finding(text=text, choice=policy.on_overwrite, setting="on_overwrite"))
    if deletes:
        text = f"{described(deletes)} removed rows"
        findings.append(Finding(text=text, choice=policy.on_delete, setting="on_delete"))
    if picked:
        findings.append(Finding(text=f"published from staged commits: {described(picked)}"))
    return findings


def _decide(case: _Case, findings: list[Finding], since: tuple[Snapshot, ...] | None) -> Plan:
    """The most cautious choice among the findings; `since` None: only the whole table can be read."""
    choices = {f.choice for f in findings}
    texts = [f.text for f in findings]
    if "refuse" in choices:
        return _answer(case, "refuse", [f.advice for f in findings if f.choice == "refuse"], since or ())
    if not case.history.snapshots:
        return _answer(case, "nothing", [*texts, "the table is empty now"])
    if "rebuild" in choices:
        return _enough(case, "rebuild", texts, case.history.snapshots[::-1])
    return _enough(case, "changelog" if "changelog" in choices else "append-scan", texts, since or ())


def _enough(case: _Case, action: Action, texts: list[str], read: tuple[Snapshot, ...]) -> Plan:
    rows = table_rows(read[-1]) if action == "rebuild" else added_rows(read)
    asked = max(case.policy.min_rows, 1)
    if rows is not None and rows < asked:
        return _answer(case, "nothing", [*texts, _too_few(rows, asked, read)])
    return _answer(case, action, [*texts, _summary(action, rows, read)], read, rows)


def _too_few(rows: int, asked: int, read: tuple[Snapshot, ...]) -> str:
    if rows == 0:
        return f"no new row: {described(read)} added none"
    return f"{counted(rows, 'new row')}, fewer than the {asked:,} asked for (snapshots.min_rows): they wait"


def _summary(action: Action, rows: int | None, read: tuple[Snapshot, ...]) -> str:
    count = "an unknown number of rows" if rows is None else counted(rows, "row")
    if action == "rebuild":
        return f"the whole table at {short(read[-1].snapshot_id)}: {count}"
    # A branch of an empty table begins at an append of nothing, which would only puzzle a reader.
    appends = [s for s in read if row_effect(s) == "append" and added_rows([s]) != 0]
    compactions = [s for s in read if row_effect(s) == "replace"]
    left = f"; {described(compactions)} changed no row" if compactions else ""
    return f"{described(appends) if appends else 'no append'}: {count} written{left}"


def _answer(
    case: _Case,
    action: Action,
    reasons: list[str],
    read: tuple[Snapshot, ...] = (),
    rows: int | None = None,
) -> Plan:
    head = case.state.current_snapshot_id
    mark = case.watermark
    same = mark is not None and mark.table_uuid == case.state.table_uuid
    range_ = SnapshotRange(
        table=case.state.name,
        table_uuid=case.state.table_uuid,
        from_snapshot_id=mark.snapshot_id if mark and same and action != "rebuild" else None,
        to_snapshot_id=head or "",
    )
    return Plan(
        action=action,
        reasons=tuple(reasons),
        range=range_ if action != "nothing" and head is not None else None,
        snapshots=read,
        added_rows=rows,
        schema_id=case.state.current_schema_id,
        columns=column_keys(case.state.columns),
        watermark=case.watermark,
    )
