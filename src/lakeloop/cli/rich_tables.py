"""Tables for a terminal, and the same as plain text for a pipe."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table

WIDEST_CELL = 48
PIPE_WIDTH = 1000
FOLDED = {"batch", "refs", "for", "name", "column", "type", "min", "max"}  # the rest is to be copied whole


@dataclass(frozen=True)
class Emphasized:
    """A value that stands out: bold in a terminal, with a star in a pipe."""

    value: object


def emphasized(value: object) -> Emphasized:
    """Make a value stand out."""
    return Emphasized(value)


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """To stdout; numbers stand to the right."""
    console = _console()
    _print(console, title, _table(console, header, rows, FOLDED))


def print_rows(title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Rows of a table with any number of columns: where they are too wide, a line a column, as many as fit."""
    console = _console()
    wide = _table(console, header, rows)
    if _width(console, wide) <= console.width:
        _print(console, title, wide)
        return
    for shown in range(len(rows), 0, -1):
        told = title if shown == len(rows) else f"{title}; {shown} of them fit"
        turned = [[name, *(row[i] for row in rows[:shown])] for i, name in enumerate(header)]
        tall = _table(console, ("column", *(str(i + 1) for i in range(shown))), turned)
        if shown == 1 or _width(console, tall) <= console.width:
            _print(console, told, tall)
            return


def _print(console: Console, title: str, table: Table) -> None:
    # As a line of its own: a table's title is folded to the table's width.
    console.print(f"[bold]{escape(title)}[/]", soft_wrap=True)
    console.print(table)


def _console() -> Console:
    return Console(file=sys.stdout, width=None if sys.stdout.isatty() else PIPE_WIDTH, highlight=False)


def _width(console: Console, table: Table) -> int:
    """What it would take unfolded."""
    return Measurement.get(console, console.options.update(max_width=PIPE_WIDTH), table).maximum


def _table(
    console: Console,
    header: Sequence[str],
    rows: Sequence[Sequence[object]],
    folded: Collection[str] | None = None,
) -> Table:
    """Only columns named in `folded` are broken where the terminal is narrow; None: all of them."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for i, name in enumerate(header):
        is_number = bool(rows) and all(_is_number(row[i]) for row in rows)
        table.add_column(
            escape(name),
            justify="right" if is_number else "left",
            overflow="fold",
            no_wrap=folded is not None and name not in folded,
        )
    for row in rows:
        table.add_row(*(_cell(value, console.is_terminal) for value in row))
    return table


def _is_number(value: object) -> bool:
    value = value.value if isinstance(value, Emphasized) else value
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _cell(value: object, is_terminal: bool) -> str:
    if isinstance(value, Emphasized):
        text = _cell(value.value, is_terminal)
        return f"[bold yellow]{text}[/]" if is_terminal else f"{text} *"
    return escape(_text(value))


def _text(value: object) -> str:
    match value:
        case int() if not isinstance(value, bool):
            return f"{value:,}"
        case float():
            return f"{value:,.6g}"
        case datetime():
            at = value.astimezone(UTC) if value.tzinfo else value
            return at.isoformat(sep=" ").removesuffix("+00:00")
        case date():
            return value.isoformat()
    text = "-" if value is None else str(value)
    return text if len(text) <= WIDEST_CELL else f"{text[: WIDEST_CELL - 1]}…"
