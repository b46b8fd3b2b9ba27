"""What a person sees while a pipeline runs."""

import io
from pathlib import Path

from rich.console import Console

from lakeloop.runners.process.events import (
    RunFinished,
    RunStarted,
    TaskCached,
    TaskFailed,
    TaskFinished,
    TaskProgress,
    TaskRetried,
    TaskSkipped,
    TaskStarted,
)
from lakeloop.runners.process.live import LiveListener
from lakeloop.runners.process.progress import PlainListener, default_listener, time_text
from tests.unit.runners.conftest import Runs

EVENTS = (
    RunStarted("one", "retrain", Path("/runs/one"), False, ("a.b: there is no pod to label",)),
    TaskStarted("g/train", "train-model", 1, Path("/runs/one/log.txt")),
    TaskProgress("g/train", "train-model", "round 10 of 90"),
    TaskRetried("g/train", "train-model", 1, 5.0, "exit code 1"),
    TaskStarted("g/train", "train-model", 2, Path("/runs/one/log.txt")),
    TaskFailed("g/train", "train-model", 61.0, "exit code 1", 1, ("one", "two"), Path("/runs/one/log.txt")),
    TaskFinished("h", "ingest", 1.25, {}),
    TaskCached("i", "plan", "run zero"),
    TaskSkipped("j", "deploy", "condition is false: x"),
    RunFinished("one", "failed", 75.0, Path("/runs/one"), "lakeloop run --resume one"),
)


def test_plain_lines() -> None:
    stream = io.StringIO()
    listener = PlainListener(stream)
    for event in EVENTS:
        listener(event)
    assert stream.getvalue().splitlines() == [
        "run one  retrain  /runs/one",
        "not applied here, there is no pod to label: a.b",
        "started  train-model",
        "         train-model: round 10 of 90",
        "retrying train-model  attempt 1 failed: exit code 1; again in 5 s",
        "started  train-model  attempt 2",
        "failed   train-model  after 1 min 01 s: exit code 1",
        "    one",
        "    two",
        "    log: /runs/one/log.txt",
        "done     ingest  1.2 s",
        "reused   plan  from run zero",
        "skipped  deploy  condition is false: x",
        "run one failed in 1 min 15 s",
        "go on with: lakeloop run --resume one",
    ]


def test_an_error_line_is_shown_once() -> None:
    stream = io.StringIO()
    PlainListener(stream)(TaskFailed("a", "a", 1.0, "no label", 2, ("error: no label",), None))
    assert stream.getvalue() == "failed   a  after 1.0 s: no label\n"


def test_the_table_shows_running_tasks_and_their_latest_line() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    listener = LiveListener(console)
    for event in EVENTS[:3]:
        listener(event)
    with console.capture() as captured:
        console.print(listener._table())
    assert "train-model" in captured.get()
    assert "round 10 of 90" in captured.get()
    for event in EVENTS[3:]:
        listener(event)
    assert listener._rows == {}


def test_a_pipe_gets_plain_lines_of_a_real_run(runs: Runs) -> None:
    stream = io.StringIO()
    runs.run("exit-handler-good", listener=default_listener(stream), run_id="one")
    lines = stream.getvalue().splitlines()
    assert lines[0].startswith("run one  exit-handler-good  ")
    assert [line.split()[:2] for line in lines[1:5]] == [
        ["started", "say"],
        ["done", "say"],
        ["started", "on-exit"],
        ["done", "on-exit"],
    ]
    assert lines[-1].startswith("run one succeeded in ")


def test_durations_read_well() -> None:
    assert [time_text(seconds) for seconds in (0.04, 59.9, 60, 187)] == [
        "0.0 s",
        "59.9 s",
        "1 min 00 s",
        "3 min 07 s",
    ]
