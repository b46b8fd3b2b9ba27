"""What `lakeloop show` prints: each view as tables or as one JSON document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from lakeloop import bootstrap
from lakeloop.cli import output
from lakeloop.cli.rich_tables import emphasized, print_rows, print_table
from lakeloop.cli.show import snapshot_document
from lakeloop.comparing import diff_snapshots, first_rows
from lakeloop.domain.batch import BATCH_ID_PROPERTY
from lakeloop.domain.errors import UserError
from lakeloop.domain.history import counted
from lakeloop.domain.pins import pinned_for
from lakeloop.domain.snapshots import Snapshot, TableState, ancestry
from lakeloop.domain.table_diff import ColumnComparison, ColumnStatistics, RowChanges, TableDiff
from lakeloop.domain.time_travel import columns_at, main_moves, moment, snapshot_named
from lakeloop.ports.lake import Lake
from lakeloop.settings import Settings
from lakeloop.use_case_files import load_use_case

_FACTS = ("count", "nulls", "min", "max", "mean", "distinct")


@dataclass(frozen=True)
class View:
    """An open table."""

    lake: Lake
    state: TableState
    key: tuple[str, ...]


def opened(name: str) -> View:
    """The table by its own name, or that of a use case.

    Raises:
        UserError: there is none.
    """
    is_use_case = "." not in name or "/" in name or name.endswith((".yaml", ".yml"))
    use_case = load_use_case(name) if is_use_case else None
    table = use_case.table.name if use_case else name
    settings = Settings()
    lake = bootstrap.lake(settings)
    state = lake.table_state(table)
    if state is None:
        raise UserError(
            f"there is no table {table} in catalog {settings.catalog_name}",
            where="lakeloop show",
            fix="see its name, LAKELOOP_HOME and LAKELOOP_ICEBERG_CATALOG; or land a batch first",
        )
    return View(lake, state, use_case.table.key if use_case else ())


def show_rows(view: View, at: str | None, columns: Sequence[str] | None, most: int, as_json: bool) -> None:
    """Rows as of a snapshot."""
    snapshot = snapshot_named(view.state, at)
    names = _existing(view.state, snapshot, columns)
    rows = first_rows(view.lake.read_batches(view.state.name, snapshot.snapshot_id, names), most)
    if as_json:
        output.as_json(
            {**_identity(view.state), "snapshot": snapshot_document(snapshot), "rows": _plain(rows)}
        )
        return
    total = snapshot.count("total-records")
    of = f" of {total:,}" if total is not None else ""
    title = f"{view.state.name} at {_told(snapshot)}: {counted(len(rows), 'row')}{of}"
    print_rows(title, names, [[row[name] for name in names] for row in rows])


def show_snapshots(view: View, as_json: bool) -> None:
    """Commits, oldest first."""
    state = view.state
    on_main = {s.snapshot_id for s in ancestry(state).snapshots}
    refs = {
        s.snapshot_id: [r.name for r in state.refs if r.snapshot_id == s.snapshot_id] for s in state.snapshots
    }
    if as_json:
        found = [
            {
                **snapshot_document(s),
                "is_main_ancestor": s.snapshot_id in on_main,
                "refs": refs[s.snapshot_id],
            }
            for s in state.snapshots
        ]
        output.as_json({**_identity(state), "snapshots": found})
        return
    header = ("snapshot", "committed", "operation", "added", "deleted", "rows", "batch", "on main", "refs")
    rows = [
        (
            s.snapshot_id,
            moment(s.timestamp_ms),
            s.operation,
            s.count("added-records"),
            s.count("deleted-records"),
            s.count("total-records"),
            s.summary.get(BATCH_ID_PROPERTY),
            "yes" if s.snapshot_id in on_main else "no",
            " ".join(refs[s.snapshot_id]),
        )
        for s in state.snapshots
    ]
    print_table(f"{state.name}: {counted(len(rows), 'snapshot')}", *_without_empty(header, rows))


def _without_empty(
    header: Sequence[str], rows: Sequence[Sequence[object]]
) -> tuple[list[str], list[list[object]]]:
    kept = [i for i in range(len(header)) if any(row[i] not in {None, ""} for row in rows)]
    return [header[i] for i in kept], [[row[i] for i in kept] for row in rows]


def show_history(view: View, as_json: bool) -> None:
    """What main pointed at since when."""
    moves = main_moves(view.state)
    if as_json:
        found = [{**m.model_dump(mode="json"), "at": moment(m.at_ms)} for m in moves]
        output.as_json({**_identity(view.state), "history": found})
        return
    rows = [
        (
            moment(m.at_ms),
            m.snapshot_id,
            emphasized(m.step) if m.step in {"rollback", "elsewhere"} else m.step,
            m.operation,
            m.rows,
            "yes" if m.is_ancestor else emphasized("no"),
        )
        for m in moves
    ]
    header = ("since", "main at snapshot", "step", "operation", "rows", "still in main")
    print_table(f"{view.state.name}: what main pointed at", header, rows)


def show_refs(view: View, as_json: bool) -> None:
    """Branches and tags, and what each holds."""
    state = view.state
    by_id = {s.snapshot_id: s for s in state.snapshots}
    if as_json:
        found = [
            {**r.model_dump(mode="json"), "snapshot": snapshot_document(by_id[r.snapshot_id])}
            for r in state.refs
            if r.snapshot_id in by_id
        ]
        output.as_json({**_identity(state), "refs": found})
        return
    rows = [
        (
            r.name,
            r.kind,
            r.snapshot_id,
            moment(by_id[r.snapshot_id].timestamp_ms) if r.snapshot_id in by_id else None,
            by_id[r.snapshot_id].count("total-records") if r.snapshot_id in by_id else None,
            _holds(r.name, r.kind),
        )
        for r in state.refs
    ]
    print_table(f"{state.name}: refs", ("name", "kind", "snapshot", "committed", "rows", "for"), rows)


def show_schema(view: View, at: str | None, as_json: bool) -> None:
    """Columns as of a snapshot; those of now where the table has none."""
    state = view.state
    snapshot = snapshot_named(state, at) if at or state.current_snapshot_id else None
    columns = state.columns if at is None or snapshot is None else columns_at(state, snapshot)
    if as_json:
        output.as_json({**_identity(state), "columns": [c.model_dump(mode="json") for c in columns]})
        return
    title = f"{state.name}: schema{f' at {_told(snapshot)}' if at and snapshot else ''}"
    rows = [(str(c.field_id), c.name, c.type, "yes" if c.required else "no") for c in columns]
    print_table(title, ("field", "column", "type", "required"), rows)


def show_diff(  # noqa: PLR0913, PLR0917 - one option each
    view: View,
    before: Snapshot,
    after: Snapshot,
    columns: Sequence[str] | None,
    most: int,
    statistics: bool,
    as_json: bool,
) -> None:
    """What changed from one snapshot to another."""
    names = None if columns is None else _existing(view.state, after, columns)
    diff = diff_snapshots(
        view.lake,
        bootstrap.row_comparer(),
        view.state,
        before,
        after,
        columns=names,
        key=view.key,
        most_rows=most,
        statistics=statistics,
    )
    if as_json:
        output.as_json(diff_document(diff))
        return
    output.data(f"{view.state.name}: from {_told(before)}\n  to {_told(after)}")
    output.data(f"  {_summary(diff.rows)}\n")
    for title, rows in (("added", diff.rows.added_rows), ("removed", diff.rows.removed_rows)):
        if rows:
            print_rows(f"{title}, the first {len(rows)}", list(rows[0]), [list(r.values()) for r in rows])
    if diff.columns:
        header = ("column", "type", "", *_FACTS)
        print_table(
            "columns: before, after (changes stand out; distinct is approximate)",
            header,
            [line for c in diff.columns for line in _compared(c)],
        )


def diff_document(diff: TableDiff) -> dict[str, Any]:
    """The diff as JSON; values that JSON does not have are text."""
    document: dict[str, Any] = _plain(diff.model_dump())
    return document


def _summary(rows: RowChanges) -> str:
    if rows.method == "same files":
        return "no row changed: the data files are the same"
    how = "by data files" if rows.method == "files" else "row by row, since files were rewritten"
    keys = f"; {counted(rows.changed_keys, 'key')} among both" if rows.changed_keys is not None else ""
    return f"{counted(rows.added, 'row')} added, {counted(rows.removed, 'row')} removed{keys} ({how})"


def _compared(column: ColumnComparison) -> list[list[object]]:
    name = f"{column.renamed_from} -> {column.name}" if column.renamed_from else column.name
    if column.before is None or column.after is None:
        word, side = ("added", column.after) if column.before is None else ("dropped", column.before)
        return [
            [emphasized(name), column.type_after or column.type_before, emphasized(word), *_facts(side, ())]
        ]
    type_ = emphasized(f"{column.type_before} -> {column.type_after}") if "type" in column.changed else None
    first = [name, type_ or column.type_after, "before", *_facts(column.before, ())]
    return [first, ["", "", "after", *_facts(column.after, column.changed)]]


def _facts(side: ColumnStatistics | None, changed: Sequence[str]) -> list[object]:
    values = [getattr(side, fact) for fact in _FACTS]
    return [emphasized(v) if fact in changed else v for fact, v in zip(_FACTS, values, strict=True)]


def _existing(state: TableState, snapshot: Snapshot, columns: Sequence[str] | None) -> list[str]:
    known = [c.name for c in columns_at(state, snapshot)]
    missing = [c for c in columns or () if c not in known]
    if missing:
        raise UserError(
            f"no column {', '.join(map(repr, missing))} at that snapshot",
            where=state.name,
            fix=f"it has {', '.join(known)}",
        )
    return known if columns is None else list(columns)


def _holds(name: str, kind: str) -> str:
    if name == "main":
        return "readers"
    if name.startswith(("lakeloop_batch_", "lakeloop_range_")):
        return "an ingest or training under way, or a dead one: lakeloop tidy"
    pinned = pinned_for(name) if kind == "tag" else None
    return f"version {pinned[1]} of {pinned[0]}, until it is retired" if pinned else ""


def _identity(state: TableState) -> dict[str, Any]:
    return {"table": state.name, "table_uuid": state.table_uuid}


def _told(snapshot: Snapshot) -> str:
    return f"snapshot {snapshot.snapshot_id} of {moment(snapshot.timestamp_ms)}"


def _plain(value: Any) -> Any:
    """The same in JSON's types: what JSON does not have is text."""
    match value:
        case dict():
            return {str(k): _plain(v) for k, v in value.items()}
        case list() | tuple():
            return [_plain(v) for v in value]
        case None | bool() | int() | str():
            return value
        case float():
            return value if isfinite(value) else str(value)
        case bytes():
            return value.hex()
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
