"""The variables of a run's steps: relative places made absolute, and the commit that runs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from lakeloop.settings import Settings

GIT_TIMEOUT_SECONDS = 5


def task_environment(settings: Settings, here: Path) -> dict[str, str]:
    """Steps start in another folder than the command, so that paths in variables must not depend on it."""
    variables = {"LAKELOOP_HOME": str(settings.root)}
    if settings.spark_jars_folder:
        variables["LAKELOOP_SPARK_JARS_FOLDER"] = str(here / settings.spark_jars_folder)
    if "LAKELOOP_GIT_COMMIT" not in os.environ and (commit := git_commit(here)):
        variables["LAKELOOP_GIT_COMMIT"] = commit
    return variables


def git_commit(folder: Path) -> str:
    """The commit checked out, `+changes` behind it when files differ; empty outside a repository."""
    commit = _git(folder, "rev-parse", "HEAD")
    return commit and commit + ("+changes" if _git(folder, "status", "--porcelain", "-uno") else "")


def code_of(folder: Path, ref: str) -> Callable[[str], bool]:
    """Whether a commit is the code of a branch, tag or commit: that one itself, or one behind it.

    A commit with changes behind it (`+changes`) is nobody's code.

    Raises:
        UserError: git knows no such ref here.
    """
    from lakeloop.domain.errors import UserError

    end = "" if ref.startswith("-") else _git(folder, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
    if not end:
        raise UserError(
            f"git knows no {ref!r} in {folder}",
            where="--against",
            fix="fetch it (git fetch origin main; in CI, the whole history), or name a version",
        )
    return lambda commit: commit.isalnum() and _git_says(folder, "merge-base", "--is-ancestor", commit, end)


def _git_says(folder: Path, *words: str) -> bool:
    done = _run_git(folder, *words)
    return done is not None and done.returncode == 0


def _git(folder: Path, *words: str) -> str:
    done = _run_git(folder, *words)
    return done.stdout.strip() if done is not None and done.returncode == 0 else ""


def _run_git(folder: Path, *words: str) -> subprocess.CompletedProcess[str] | None:
    """None where there is no git, or no answer from it in time."""
    try:
        return subprocess.run(
            ["git", "-C", str(folder), *words],
            capture_output=True,
            text=True,
            timeout=GIT_TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
