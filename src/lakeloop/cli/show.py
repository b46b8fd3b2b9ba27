"""`lakeloop show`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from lakeloop.cli.options import Json

if TYPE_CHECKING:
    from lakeloop.domain.snapshots import Snapshot, TableState

Name = Annotated[
    str, typer.Argument(metavar="TABLE|USE_CASE", help="namespace.table, or a use case for its table.")
]
At = Annotated[
    str | None,
    typer.Option(
        "--at",
        metavar="TIME|SNAPSHOT|REF",
        help="As of a time, a snapshot id, a branch or a tag; default now.",
    ),
]
Rows = Annotated[int, typer.Option(min=0, help="How many rows, also of each side of a diff.")]
Columns = Annotated[str | None, typer.Option(metavar="A,B", help="Only these columns.")]
Diff = Annotated[
    str | None,
    typer.Option(
        metavar="FROM..TO",
        help="What changed between two of the same; FROM.. goes up to now, ..TO from the first.",
    ),
]
Statistics = Annotated[
    bool, typer.Option(help="With --diff: each column's statistics, which reads both snapshots whole.")
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(show)


def show(  # noqa: PLR0913, PLR0917 - one option each
    table: Name,
    at: At = None,
    snapshots: Annotated[
        bool, typer.Option("--snapshots", help="The commits, with rows and batch ids.")
    ] = False,
    history: Annotated[
        bool, typer.Option("--history", help="What main pointed at since when, rollbacks included.")
    ] = False,
    refs: Annotated[bool, typer.Option("--refs", help="Branches and tags, and what they hold.")] = False,
    schema: Annotated[bool, typer.Option("--schema", help="The columns, --at a snapshot.")] = False,
    diff: Diff = None,
    rows: Rows = 10,
    columns: Columns = None,
    statistics: Statistics = True,
    json: Json = False,
) -> None:
    """Travel in time: a table's rows as of any snapshot, its commits, and what changed.

    A time is ISO 8601, UTC unless it says otherwise (a date is its midnight), or milliseconds since the epoch, and
    means what main pointed at then. Reads only, and starts no JVM.

    \b
      lakeloop show card_fraud                                   rows, now
      lakeloop show card_fraud --at 2026-01-31T12:00             as main was then
      lakeloop show bank.transactions --at lakeloop_card_fraud_v3 --columns amount,label
      lakeloop show card_fraud --snapshots                       also --history, --refs, --schema
      lakeloop show card_fraud --diff 2026-01-31..               what came since
      lakeloop show card_fraud --diff 3051729675574597004..main --json | jq .rows.added
    """  # noqa: D301 - \b is typer's mark for a block that keeps its lines
    from lakeloop.cli import show_views as views
    from lakeloop.domain.errors import UserError

    asked = {
        "--snapshots": snapshots,
        "--history": history,
        "--refs": refs,
        "--schema": schema,
        "--diff": diff,
    }
    named = [option for option, value in asked.items() if value]
    if len(named) > 1:
        raise UserError(
            f"{' and '.join(named)} are different views", where="lakeloop show", fix="ask for one"
        )
    if at is not None and named and named != ["--schema"]:
        raise UserError(f"--at does not go with {named[0]}", where="lakeloop show", fix="leave one out")
    view = views.opened(table)
    chosen = None if columns is None else [c.strip() for c in columns.split(",") if c.strip()]
    match named:
        case ["--snapshots"]:
            views.show_snapshots(view, json)
        case ["--history"]:
            views.show_history(view, json)
        case ["--refs"]:
            views.show_refs(view, json)
        case ["--schema"]:
            views.show_schema(view, at, json)
        case ["--diff"]:
            views.show_diff(view, *ends(view.state, diff or ""), chosen, rows, statistics, json)
        case _:
            views.show_rows(view, at, chosen, rows, json)


def ends(state: TableState, text: str) -> tuple[Snapshot, Snapshot]:
    """The two snapshots of FROM..TO.

    Raises:
        UserError: it is not of that form, or an end names no snapshot.
    """
    from lakeloop.domain.errors import UserError
    from lakeloop.domain.snapshots import ancestry
    from lakeloop.domain.time_travel import snapshot_named

    start, dots, end = text.partition("..")
    if not dots:
        raise UserError(f"{text!r} has no '..'", where="--diff", fix="write FROM..TO, or FROM.. up to now")
    to = snapshot_named(state, end or None)
    if start:
        return snapshot_named(state, start), to
    return ancestry(state, to.snapshot_id).snapshots[-1], to


def snapshot_document(snapshot: Snapshot) -> dict[str, Any]:
    """A snapshot as JSON: its identity and its whole summary."""
    from lakeloop.domain.time_travel import moment

    return {**snapshot.model_dump(mode="json"), "committed_at": moment(snapshot.timestamp_ms)}
