"""Each small compiled pipeline through the real runner, with real processes."""

import json
import os
import signal
import stat
import time
from pathlib import Path

import pytest

from lakeloop.domain.errors import UserError
from lakeloop.runners.process import EntryPoint
from lakeloop.runners.process.attempts import describe_exit
from lakeloop.runners.process.events import TaskFailed, TaskProgress, TaskRetried, TaskSkipped
from lakeloop.runners.process.processes import Exit
from tests.unit.runners.conftest import Runs


def states(result: object) -> dict[str, str]:
    return {path: task.state for path, task in result.tasks.items()}  # type: ignore[attr-defined]


def test_types_reach_programs_as_the_launcher_writes_them(runs: Runs) -> None:
    result = runs.run("types")
    assert result.state == "succeeded"
    assert result.outputs == {"Output": '3|2.5|true|[1,2.5]|{"a":{"b":1}}|three'}
    shown = result.tasks["show-types-2"].outputs["shown"]
    assert shown == '3051729675574597000|1|false|[1,"a"]|{"k":3}|w'


def test_artifacts_carry_files_folders_and_metadata(runs: Runs) -> None:
    assert runs.run("artifacts").outputs == {"Output": "abcABC3"}


@pytest.mark.parametrize(
    ("arguments", "chosen", "branch"),
    [
        ({"score": 1.5, "count": 0}, "high", "condition-2/say"),
        ({"score": 1, "count": 3}, "many 3", "condition-3/say-2"),
        ({"score": 0.5, "count": 2, "word": "q", "on": False}, "low", "condition-4/say-3"),
    ],
)
def test_one_branch_runs_and_the_others_are_skipped(
    runs: Runs, arguments: dict[str, object], chosen: str, branch: str
) -> None:
    result = runs.run("branches", arguments)
    assert result.outputs == {"Output": chosen}
    branches = {p: s for p, s in states(result).items() if p.startswith("condition-branches-1/")}
    assert sorted(branches.values()) == ["skipped", "skipped", "succeeded"]
    assert branches[f"condition-branches-1/{branch}"] == "succeeded"
    assert result.tasks["condition-5/say-4"].state == ("skipped" if "word" in arguments else "succeeded")
    assert result.tasks["condition-6/say-5"].state == ("skipped" if "on" in arguments else "succeeded")


def test_conditions_on_named_outputs_fire(runs: Runs) -> None:
    result = runs.run("named-output")
    assert states(result) == {
        "measure": "succeeded",
        "condition-1/say": "succeeded",
        "condition-1/condition-2/say-2": "skipped",
        "condition-3/say-3": "succeeded",
        "condition-4/say-4": "skipped",
    }
    assert "condition is false" in runs.of(TaskSkipped)[0].reason


def test_loops_collect_in_order(runs: Runs) -> None:
    result = runs.run("loop")
    assert result.outputs == {"Output": "bb+aa+cc"}
    found = [result.tasks[f"for-loop-1/iteration-{k}/condition-2/say-3"].state for k in range(3)]
    assert found == ["skipped", "succeeded", "skipped"]
    assert runs.run("loop", {"words": []}).outputs == {"Output": ""}


def test_loops_over_structs_select_their_keys_and_collect_artifacts(runs: Runs) -> None:
    result = runs.run("loop-items")
    assert [result.tasks[f"for-loop-2/iteration-{k}/say"].outputs["said"] for k in (0, 1)] == ["1", "2"]
    assert result.tasks["read-all"].outputs == {"found": "x,y"}


def test_a_loop_runs_over_an_output(runs: Runs) -> None:
    result = runs.run("loop-over-output")
    said = [result.tasks[f"for-loop-1/iteration-{k}/say"].outputs["said"] for k in (0, 1)]
    assert said == ["item 1", "item 2.5"]


def test_pipelines_nest_with_their_defaults(runs: Runs) -> None:
    assert runs.run("nested", {"text": "t"}).outputs == {"Output": "default-t-e"}


def test_the_exit_task_runs_after_a_failure_and_knows_why(runs: Runs) -> None:
    result = runs.run("exit-handler", {"code": 2})
    assert (result.state, result.exit_code) == ("failed", 2)
    assert states(result) == {
        "exit-handler-1/say": "succeeded",
        "exit-handler-1/fail": "failed",
        "exit-handler-1/say-2": "not_run",
        "on-exit": "succeeded",
    }
    status = json.loads(result.tasks["on-exit"].outputs["said"])
    assert status["state"] == "FAILED"
    assert status["error"] == {"code": 3, "message": "nothing works"}
    assert status["pipelineTaskName"] == "exit-handler-1"


def test_the_exit_task_hears_of_success_too(runs: Runs) -> None:
    result = runs.run("exit-handler-good")
    assert (result.state, result.exit_code) == ("succeeded", 0)
    assert json.loads(result.tasks["on-exit"].outputs["said"])["state"] == "SUCCEEDED"


def test_an_ignored_failure_lets_others_run_but_fails_the_run(runs: Runs) -> None:
    result = runs.run("ignore-upstream")
    assert states(result) == {"fail": "failed", "say": "succeeded", "say-2": "succeeded"}
    assert (result.state, result.exit_code) == ("failed", 1)


def test_an_import_has_to_exist(runs: Runs) -> None:
    missing = runs.run("import-data")
    assert missing.tasks["importer"].error.startswith("nothing to import at ")
    assert missing.tasks["read-file"].state == "not_run"
    (runs.folder / "imported").mkdir()
    (runs.folder / "imported" / "data.txt").write_text("data")
    assert runs.run("import-data").outputs == {"Output": 'data{"note": "mine"}'}


def test_a_failed_attempt_is_retried_and_leaves_nothing_behind(runs: Runs) -> None:
    counter = str(runs.folder / "counter")
    result = runs.run("retries", {"counter": counter, "attempt": 3})
    assert result.outputs == {"Output": "attempt 3"}
    assert result.tasks["fail-until"].attempts == 3
    assert [event.attempt for event in runs.of(TaskRetried)] == [1, 2]
    folder = result.run_dir / "tasks" / "fail-until"
    assert [(folder / f"attempt-{k}" / "outputs" / "said").read_text() for k in (1, 2)] == ["half", "half"]


def test_retries_end(runs: Runs) -> None:
    result = runs.run("retries", {"counter": str(runs.folder / "counter"), "attempt": 9})
    assert (result.state, result.exit_code, result.tasks["fail-until"].attempts) == ("failed", 1, 3)


@pytest.mark.parametrize(("code", "attempts", "exit_code"), [(2, 1, 2), (1, 3, 1), (5, 3, 1)])
def test_a_users_error_is_not_retried(runs: Runs, code: int, attempts: int, exit_code: int) -> None:
    result = runs.run("user-error", {"code": code})
    assert (result.tasks["fail"].attempts, result.exit_code) == (attempts, exit_code)
    assert result.tasks["fail"].exit_code == code
    failed = runs.of(TaskFailed)[0]
    assert failed.error == "conf/x.yaml: key 'y' is unknown"
    assert failed.log_tail == ("error: conf/x.yaml: key 'y' is unknown",)


def test_a_failure_without_an_error_line_shows_the_end_of_its_log(runs: Runs) -> None:
    result = runs.run("long-log")
    failed = runs.of(TaskFailed)[0]
    assert failed.error == "exit code 7"
    assert failed.log_tail == tuple(f"line {k}" for k in range(25, 40))
    assert failed.log_path == result.tasks["quiet-fail"].log_path
    assert failed.log_path.read_text().startswith("line 0\n")


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


def test_a_time_out_ends_the_whole_process_group(runs: Runs) -> None:
    started = time.monotonic()
    result = runs.run("time-out")
    assert result.tasks["stubborn"].error == "timed out after 1 seconds (set_timeout), and was stopped"
    assert time.monotonic() - started < 10
    pids = [int(line) for line in runs.traces()]
    assert len(pids) == 2
    assert not any(alive(pid) for pid in pids)


def test_placeholders_and_the_runs_names(runs: Runs) -> None:
    result = runs.run("placeholder-forms", {"given": "g"}, run_id="run-7")
    shown = result.tasks["placeholders"].outputs["shown"]
    assert shown[:6] == ["--number=2/g", "--given", "g", "--no-absent", "x", '{"q":"a \\"quoted\\" word"}']
    told = json.loads(json.loads(f'"{shown[6]}"'))
    assert told["inputs"]["parameterValues"]["given"] == "g"
    assert json.loads(f'"{shown[7]}"') == '{"q":"a \\"quoted\\" word"}'
    assert shown[8:11] == ["run-7", "placeholder-forms-run-7/placeholder-forms-run-7", "placeholders"]
    assert result.tasks["say"].outputs == {"said": "run-7"}


def test_secrets_come_from_the_local_file(runs: Runs) -> None:
    secrets = runs.folder / "secrets.yaml"
    secrets.write_text("login: {user: me}\nother: {user: you}\nsettings: {level: 3}\n")
    result = runs.run("secrets", secrets_path=secrets)
    assert result.tasks["environment"].outputs["values"] == {"USER_NAME": "me", "LEVEL": "3", "PLAIN": "p"}
    again = runs.run("secrets", {"secret": "other"}, secrets_path=secrets)
    assert again.tasks["environment"].outputs["values"]["USER_NAME"] == "you"
    nothing_secret = [
        path.read_text() for path in (runs.folder / "runs").rglob("*.json") if "outputs" not in str(path)
    ]
    assert all('"user"' not in text for text in nothing_secret)
    missing = runs.run("secrets", {"secret": "third"}, secrets_path=secrets)
    assert (missing.state, missing.exit_code) == ("failed", 2)
    assert "secret 'third' is not there" in missing.tasks["environment"].error


def test_a_missing_config_map_is_refused_before_anything_starts(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LAKELOOP_LOCAL_SECRETS", raising=False)
    with pytest.raises(UserError, match=r"config map 'settings' is not there.*LAKELOOP_LOCAL_SECRETS"):
        runs.run("secrets")
    assert not (runs.folder / "runs").exists()


def test_independent_tasks_run_at_once_up_to_the_limit(runs: Runs) -> None:
    assert runs.run("at-once", {"folder": str(runs.folder)}, max_parallel=2).state == "succeeded"


def test_a_missing_parameter_file_fails_the_task(runs: Runs) -> None:
    result = runs.run("missing-output")
    assert result.state == "failed"
    assert "without writing output parameter 'number'" in result.tasks["half-done"].error


def test_a_parameter_may_come_from_the_executor_output(runs: Runs) -> None:
    assert runs.run("executor-output").outputs == {"Output": 7}


def test_the_latest_progress_line_is_told(runs: Runs) -> None:
    here, go = runs.folder / "go.here", runs.folder / "go"

    def listen(event: object) -> None:
        runs.events.append(event)  # type: ignore[arg-type]
        if isinstance(event, TaskProgress):
            go.touch()

    result = runs.run("resumable", {"folder": str(runs.folder)}, listener=listen)
    assert result.state == "succeeded"
    assert here.exists()
    assert [(event.name, event.text) for event in runs.of(TaskProgress)] == [("wait-for", "waiting")]


def test_an_image_may_have_an_entry_point_of_its_own(runs: Runs) -> None:
    wrapper = runs.folder / "wrapper"
    wrapper.write_text('#!/bin/sh\necho wrapped >> "$TRACE"\necho "$IN_IMAGE" >> "$TRACE"\nexec "$@"\n')
    wrapper.chmod(wrapper.stat().st_mode | stat.S_IXUSR)
    entry = EntryPoint(prefix=(str(wrapper),), env={"IN_IMAGE": "yes"})
    result = runs.run("executor-output", entry_points={"python": entry})
    assert result.state == "succeeded"
    assert runs.traces() == ["wrapped", "yes"]


def test_a_signal_is_named(runs: Runs) -> None:
    assert (
        describe_exit(Exit("exited", -signal.SIGKILL), None)
        == "killed by SIGKILL; was the machine out of memory?"
    )


def test_run_folder_tells_what_happened(runs: Runs) -> None:
    result = runs.run("exit-handler", {"code": 1}, run_id="told")
    run = json.loads((runs.folder / "runs" / "told" / "run.json").read_text())
    assert (run["state"], run["arguments"]) == ("failed", {"code": 1})
    assert run["tasks"]["exit-handler-1/fail"]["error"] == "nothing works"
    told = json.loads(
        (result.run_dir / "tasks/exit-handler-1/fail/attempt-1/executor_input.json").read_text()
    )
    assert told["inputs"]["parameterValues"] == {"code": 1, "text": "nothing works"}
    assert os.listdir(result.run_dir / "tasks/exit-handler-1/fail/attempt-1/outputs") == []  # noqa: PTH208
