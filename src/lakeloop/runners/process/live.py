"""A run on a terminal: running tasks in a table that keeps moving, ended ones as lines above it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from lakeloop.runners.process.events import Event, RunFinished, RunStarted, TaskProgress, TaskStarted
from lakeloop.runners.process.progress import lines_for, time_text


def terminal(stream: TextIO) -> Console:
    """A console that neither colours numbers nor breaks paths."""
    return Console(file=stream, highlight=False, soft_wrap=True)


@dataclass(slots=True)
class _Row:
    name: str
    since: float
    text: str = ""
    spinner: Spinner = field(default_factory=lambda: Spinner("dots"))


class LiveListener:
    """Finished tasks as lines above, running ones in a table that keeps moving."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._rows: dict[str, _Row] = {}
        self._live = Live(console=console, get_renderable=self._table, refresh_per_second=8, transient=True)

    def __call__(self, event: Event, /) -> None:
        """Update the table, and print what lasts."""
        if isinstance(event, RunStarted):
            self._live.start()
        elif isinstance(event, TaskStarted):
            self._rows[event.path] = _Row(event.name, time.monotonic())
        elif isinstance(event, TaskProgress):
            self._rows[event.path].text = event.text
        elif isinstance(event, RunFinished):
            self._live.stop()
        else:
            self._rows.pop(event.path, None)
        for text, style in lines_for(event):
            self._console.print(Text(text, style=style))

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 1))
        for row in list(self._rows.values()):
            seconds = time_text(time.monotonic() - row.since)
            table.add_row(
                row.spinner, Text(row.name, style="bold"), Text(seconds), Text(row.text, style="cyan")
            )
        return table
