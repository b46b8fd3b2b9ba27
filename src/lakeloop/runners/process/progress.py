"""A run's progress for people: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TextIO

from lakeloop.runners.process.events import (
    LEFT,
    Event,
    Listener,
    RunFinished,
    RunStarted,
    TaskCached,
    TaskCancelled,
    TaskFailed,
    TaskFinished,
    TaskProgress,
    TaskRetried,
    TaskSkipped,
    TaskStarted,
)

Line = tuple[str, str]
"""A text and its rich style."""


def default_listener(stream: TextIO | None = None) -> Listener:
    """A live table when the stream (standard error by default) is a terminal, plain lines otherwise."""
    target = stream or sys.stderr
    if not target.isatty():
        return PlainListener(target)
    # rich is slow to import, and only a terminal needs it.
    from lakeloop.runners.process.live import LiveListener, terminal

    return LiveListener(terminal(target))


def lines_for(event: Event) -> list[Line]:
    """The lasting lines that an event deserves."""
    describe: dict[type, Callable[[Any], list[Line]]] = {
        RunStarted: _run_started,
        TaskFinished: lambda e: [(f"done     {e.name}  {time_text(e.seconds)}", "green")],
        TaskCached: lambda e: [(f"reused   {e.name}  from {e.source}", "green")],
        TaskSkipped: lambda e: [(f"skipped  {e.name}  {e.reason}", "dim")],
        TaskCancelled: lambda e: [(f"stopped  {e.name}  after {time_text(e.seconds)}", "yellow")],
        TaskRetried: _task_retried,
        TaskFailed: _task_failed,
        RunFinished: _run_finished,
    }
    return describe.get(type(event), lambda _: [])(event)


def _run_started(event: RunStarted) -> list[Line]:
    word = "resumed" if event.resumed else "run"
    lines = [(f"{word} {event.run_id}  {event.pipeline}  {event.run_dir}", "bold")]
    places: dict[str, list[str]] = {}
    for text in event.not_applied:
        place, _, reason = text.rpartition(": ")
        places.setdefault(reason, []).append(place)
    return lines + [(f"not applied here, {why}: {', '.join(where)}", "dim") for why, where in places.items()]


def _task_retried(event: TaskRetried) -> list[Line]:
    wait = f"again in {event.delay_seconds:g} s"
    return [(f"retrying {event.name}  attempt {event.attempt} failed: {event.error}; {wait}", "yellow")]


def _task_failed(event: TaskFailed) -> list[Line]:
    lines = [(f"failed   {event.name}  after {time_text(event.seconds)}: {event.error}", "bold red")]
    told = {event.error, f"error: {event.error}"}
    lines += [(f"    {line}", "red") for line in event.log_tail if line not in told]
    return lines + ([(f"    log: {event.log_path}", "")] if event.log_path else [])


def _run_finished(event: RunFinished) -> list[Line]:
    if event.state == LEFT:
        text = f"run {event.run_id} goes on; it was followed for {time_text(event.seconds)}"
        return [(text, "bold yellow"), (f"follow it again with: {event.resume_command}", "")]
    style = {"succeeded": "bold green", "failed": "bold red"}.get(event.state, "bold yellow")
    lines = [(f"run {event.run_id} {event.state} in {time_text(event.seconds)}", style)]
    if event.state in {"succeeded", "held"} or not event.resume_command:
        return lines
    return [*lines, (f"go on with: {event.resume_command}", "")]


def time_text(seconds: float) -> str:
    """A duration for people: `4.2 s`, `3 min 07 s`."""
    whole = int(seconds)
    return f"{seconds:.1f} s" if whole < 60 else f"{whole // 60} min {whole % 60:02d} s"  # noqa: PLR2004


class PlainListener:
    """One line per event, for logs and pipes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, event: Event, /) -> None:
        """Write the event's lines."""
        for text, _ in _started_or_progress(event) + lines_for(event):
            self._stream.write(text + "\n")
        self._stream.flush()


def _started_or_progress(event: Event) -> list[Line]:
    if isinstance(event, TaskStarted):
        attempt = f"  attempt {event.attempt}" if event.attempt > 1 else ""
        return [(f"started  {event.name}{attempt}", "")]
    return [(f"         {event.name}: {event.text}", "")] if isinstance(event, TaskProgress) else []
