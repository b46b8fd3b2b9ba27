"""A cached result is used only when nothing that could change it has changed."""

from pathlib import Path
from typing import Any

import pytest

from lakeloop.runners.process import RunResult
from tests.unit.runners.conftest import Runs


def run(runs: Runs, text: str = "abc", **changes: Any) -> RunResult:
    known = {"cache_dir": runs.folder / "cache", "code_digest": "code-1"}
    return runs.run("caching", {"text": text}, **{**known, **changes})


def test_the_same_task_on_the_same_content_is_not_run_again(runs: Runs) -> None:
    first = run(runs)
    second = run(runs)
    assert [task.state for task in second.tasks.values()].count("cached") == 2
    assert second.tasks["say"].state == "succeeded"
    assert second.outputs == first.outputs == {"Output": "abcABC3"}
    assert sorted(runs.traces()) == ["always", "always", "make abc", "read"]


@pytest.mark.parametrize(
    "changes",
    [
        {"code_digest": "code-2"},
        {"text": "other"},
        {"env": {"MODE": "x"}},
        {"cache_dir": None},
        {"code_digest": ""},
    ],
)
def test_any_difference_runs_it_again(runs: Runs, changes: dict[str, Any]) -> None:
    run(runs)
    again = run(runs, **changes)
    assert {task.state for task in again.tasks.values()} == {"succeeded"}


def test_content_that_was_touched_is_not_trusted(runs: Runs) -> None:
    first = run(runs)
    Path(first.tasks["make-data"].outputs["data"]).write_text("tampered")
    again = run(runs)
    assert again.tasks["make-data"].state == "succeeded"
    assert again.outputs == {"Output": "abcABC3"}


def test_a_downstream_task_is_found_by_content_not_by_place(runs: Runs) -> None:
    first = run(runs)
    Path(first.tasks["make-data"].outputs["data"]).write_text("tampered")
    assert run(runs).tasks["read-data"].state == "cached"


def test_failures_are_never_cached(runs: Runs) -> None:
    changes = {"cache_dir": runs.folder / "cache", "code_digest": "c"}
    for _ in range(2):
        assert runs.run("long-log", **changes).state == "failed"
