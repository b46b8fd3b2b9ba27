"""A run that failed, was stopped or was killed goes on where it was, and trusts nothing half-written."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lakeloop.domain.errors import UserError
from lakeloop.runners.process.processes import end_orphans, groups_writing_to
from tests.unit.runners.conftest import GOLDEN, Runs
from tests.unit.runners.test_runner_pipelines import alive

DRIVER = """
import sys
from pathlib import Path
from lakeloop.runners.process import PlainListener, RunOptions, run_pipeline
folder = Path(sys.argv[2])
options = RunOptions(
    runs_dir=folder / "runs", project_root=folder, env={"TRACE": str(folder / "trace")},
    kill_grace_seconds=0.5, listener=PlainListener(sys.stdout), **{sys.argv[3]: "one"},
)
arguments = {"folder": str(folder)} if sys.argv[3] == "run_id" else {}
sys.exit(run_pipeline(Path(sys.argv[1]), arguments, options).exit_code)
"""


def start(name: str, runs: Runs, how: str = "run_id") -> subprocess.Popen[str]:
    command = [sys.executable, "-c", DRIVER, str(GOLDEN / f"{name}.yaml"), str(runs.folder), how]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def until(condition: Callable[[], bool], seconds: float = 15.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def waiting_step(runs: Runs) -> int:
    here = runs.folder / "go.here"
    until(lambda: here.exists() and here.read_text() != "")
    return int(here.read_text())


def test_a_killed_run_is_resumed_without_redoing_what_was_finished(runs: Runs) -> None:
    runner = start("resumable", runs)
    step = waiting_step(runs)
    until((runs.folder / "runs/one/tasks/read-data/result.json").exists)
    runner.kill()
    runner.wait(timeout=10)
    assert alive(step), "the step outlives its killed runner until the resume ends it"
    (runs.folder / "go").touch()
    result = runs.run("resumable", resume="one")
    assert result.state == "succeeded"
    assert {path: task.state for path, task in result.tasks.items()} == {
        "make-data": "reused",
        "read-data": "reused",
        "wait-for": "succeeded",
        "condition-1/say": "succeeded",
    }
    assert result.tasks["wait-for"].attempts == 2
    assert sorted(runs.traces()) == ["last", "make one", "read", "wait", "wait"]
    until(lambda: not alive(step))


def test_an_orphan_of_a_killed_runner_does_not_work_beside_its_successor(runs: Runs) -> None:
    runner = start("guarded-wait", runs)
    step = waiting_step(runs)
    runner.kill()
    runner.wait(timeout=10)
    (runs.folder / "go.here").unlink()
    second = start("guarded-wait", runs, "resume")
    again = waiting_step(runs)
    assert again != step
    assert not alive(step)
    (runs.folder / "go").touch()
    assert second.wait(timeout=15) == 0


def test_an_orphan_that_the_runner_had_no_time_to_record_is_ended_too(runs: Runs) -> None:
    """Killed between the start of the step and its record; a reader of the log is left alone."""
    runner = start("guarded-wait", runs)
    step = waiting_step(runs)
    runner.kill()
    runner.wait(timeout=10)
    [record] = (runs.folder / "runs").rglob("process.json")
    record.unlink()
    reader = subprocess.Popen(["tail", "-f", str(record.with_name("log.txt"))], stdout=subprocess.DEVNULL)
    (runs.folder / "go.here").unlink()
    second = start("guarded-wait", runs, "resume")
    again = waiting_step(runs)
    assert again != step
    assert not alive(step)
    assert reader.poll() is None
    reader.kill()
    reader.wait(timeout=10)
    (runs.folder / "go").touch()
    assert second.wait(timeout=15) == 0


def test_a_step_that_ignores_the_request_to_end_is_killed_before_the_run_goes_on(runs: Runs) -> None:
    log = runs.folder / "log.txt"
    script = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('on'); time.sleep(60)"
    with log.open("wb") as stream:
        deaf = subprocess.Popen([sys.executable, "-uc", script], stdout=stream, start_new_session=True)
    until(lambda: log.read_text() != "")
    assert groups_writing_to([log]) == {deaf.pid}
    asyncio.run(end_orphans(lambda: groups_writing_to([log]) if deaf.poll() is None else set()))
    assert deaf.wait(timeout=10) == -signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_tasks_runs_the_exit_task_and_is_recorded(
    runs: Runs, number: signal.Signals
) -> None:
    runner = start("guarded-wait", runs)
    step = waiting_step(runs)
    runner.send_signal(number)
    out, _ = runner.communicate(timeout=15)
    assert runner.returncode == 130
    assert not alive(step)
    run = json.loads((runs.folder / "runs/one/run.json").read_text())
    assert run["state"] == "cancelled"
    assert {path: task["state"] for path, task in run["tasks"].items()} == {
        "exit-handler-1/wait-for": "cancelled",
        "exit-handler-1/say": "not_run",
        "on-exit": "succeeded",
    }
    assert json.loads(run["tasks"]["on-exit"]["outputs"]["said"])["state"] == "CANCELLED"
    assert "go on with: lakeloop run --resume one" in out


def test_a_run_that_succeeded_is_not_resumed(runs: Runs) -> None:
    runs.run("executor-output", run_id="one")
    with pytest.raises(UserError, match="succeeded already"):
        runs.run("executor-output", resume="one")


def test_a_failed_run_goes_on_at_the_failed_task(runs: Runs) -> None:
    counter = str(runs.folder / "counter")
    first = runs.run("retries", {"counter": counter, "attempt": 4}, run_id="one")
    assert (first.state, first.tasks["fail-until"].attempts) == ("failed", 3)
    second = runs.run("retries", resume="one")
    assert second.outputs == {"Output": "attempt 4"}
    assert second.tasks["fail-until"].attempts == 4


def test_the_exit_task_is_not_taken_from_before_the_resume(runs: Runs) -> None:
    runs.run("exit-handler", {"code": 1}, run_id="one")
    again = runs.run("exit-handler", resume="one")
    assert again.tasks["exit-handler-1/say"].state == "reused"
    assert again.tasks["on-exit"].state == "succeeded"
    assert runs.traces() == ["first", "fail", "exit", "fail", "exit"]


def test_outputs_that_were_touched_or_half_written_are_made_again(runs: Runs) -> None:
    runs.run("exit-handler", {"code": 1}, run_id="one")
    marker = runs.folder / "runs/one/tasks/exit-handler-1/say/result.json"
    partial = marker.with_name(".result.json.1.partial")
    partial.write_text(marker.read_text()[:20])
    marker.unlink()
    again = runs.run("exit-handler", resume="one")
    assert (again.tasks["exit-handler-1/say"].state, again.tasks["exit-handler-1/say"].attempts) == (
        "succeeded",
        2,
    )


def test_a_resume_keeps_the_request(runs: Runs, tmp_path: Path) -> None:
    runs.run("exit-handler", {"code": 1}, run_id="one")
    with pytest.raises(UserError, match="a resumed run keeps its arguments"):
        runs.run("exit-handler", {"code": 0}, resume="one")
    with pytest.raises(UserError, match="not the one this run was started with"):
        runs.run("long-log", resume="one")
    with pytest.raises(UserError, match="there is no run 'two' -> resume one of: one"):
        runs.run("exit-handler", resume="two")


def test_a_run_that_is_going_on_cannot_be_resumed(runs: Runs) -> None:
    runner = start("guarded-wait", runs)
    waiting_step(runs)
    try:
        with pytest.raises(UserError, match="going on in another process"):
            runs.run("guarded-wait", resume="one")
    finally:
        (runs.folder / "go").touch()
        assert runner.wait(timeout=15) == 0


def test_a_run_is_held_before_a_step_and_a_resume_goes_on_with_it(runs: Runs) -> None:
    (runs.folder / "go").touch()
    first = runs.run("resumable", {"folder": str(runs.folder)}, run_id="one", hold_before=frozenset({"say"}))
    assert (first.state, first.exit_code) == ("held", 0)
    done = {path: task.state for path, task in first.tasks.items()}
    assert done["condition-1/say"] == "held"
    assert done["read-data"] == "succeeded"
    second = runs.run("resumable", resume="one")
    assert second.state == "succeeded"
    assert second.tasks["condition-1/say"].state == "succeeded"
    assert second.tasks["read-data"].state == "reused"


def test_exit_tasks_wait_with_what_is_held_but_not_with_a_failure(runs: Runs) -> None:
    held = runs.run("exit-handler-good", run_id="one", hold_before=frozenset({"say"}))
    assert held.state == "held"
    assert {task.state for task in held.tasks.values()} == {"held"}
    assert runs.run("exit-handler-good", resume="one").state == "succeeded"
