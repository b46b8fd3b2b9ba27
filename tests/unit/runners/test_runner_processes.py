"""One process: its group, its end, its deadline."""

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import yaml

from lakeloop.runners.process import run_pipeline
from lakeloop.runners.process.processes import Command, Exit, run_process, start_ticks
from tests.unit.runners.conftest import GOLDEN, Runs
from tests.unit.runners.test_runner_pipelines import alive


def run(argv: list[str], log_path: Path) -> Exit:
    command = Command(argv, dict(os.environ), log_path.parent, log_path, 20.0, 0.5)

    async def main() -> Exit:
        return await run_process(command, asyncio.Event(), lambda _: None, lambda _: None)

    return asyncio.run(main())


def test_a_steps_group_ends_with_it_and_a_session_of_its_own_lives_on(
    tmp_path: Path,
) -> None:
    body = """
import subprocess, sys
for own_session in (False, True):
    sleep = [sys.executable, "-c", "import time; time.sleep(30)"]
    child = subprocess.Popen(sleep, start_new_session=own_session)
    print(child.pid)
"""
    assert run([sys.executable, "-c", body], tmp_path / "log") == Exit("exited", 0)
    inside, outside = (int(line) for line in (tmp_path / "log").read_text().split())
    try:
        end = time.monotonic() + 5
        while alive(inside):
            assert time.monotonic() < end
            time.sleep(0.02)
        assert alive(outside)
    finally:
        os.kill(outside, 9)


def test_a_program_that_cannot_start_says_so(tmp_path: Path) -> None:
    ended = run([str(tmp_path / "gone")], tmp_path / "log")
    assert (ended.why, ended.code) == ("not_started", None)
    assert "No such file" in ended.problem


def test_a_process_is_told_from_a_later_one_with_its_id() -> None:
    one = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"])
    assert start_ticks(one.pid).isdigit()
    one.kill()
    one.wait()
    assert start_ticks(one.pid) == ""


def test_the_pipelines_deadline_stops_tasks_but_not_the_exit_task(runs: Runs) -> None:
    platform = {"platforms": {"kubernetes": {"pipelineConfig": {"activeDeadlineSeconds": 1}}}}
    path = runs.folder / "pipeline.yaml"
    path.write_text((GOLDEN / "guarded-wait.yaml").read_text() + "\n---\n" + yaml.safe_dump(platform))
    result = run_pipeline(path, {"folder": str(runs.folder)}, runs.options())
    assert (result.state, result.exit_code) == ("failed", 1)
    assert result.tasks["exit-handler-1/wait-for"].error == "the pipeline's deadline of 1 seconds is over"
    assert result.tasks["on-exit"].state == "succeeded"
